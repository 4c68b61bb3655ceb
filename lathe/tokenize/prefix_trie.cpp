#include "lathe/tokenize/prefix_trie.h"

#include <bit>

namespace lathe::tokenize {

PrefixTrie::PrefixTrie(size_t bytes) : ids_(1, kNone) {
  ids_.reserve(bytes / 2);
  resize(std::bit_ceil(std::max<size_t>(bytes, 64)));
}

void PrefixTrie::resize(size_t slots) {
  std::vector<Edge> old(slots, Edge{kFree, kNoNode});
  old.swap(edges_);
  mask_ = slots - 1;
  shift_ = 64 - std::countr_zero(slots);
  for (const Edge& edge : old) {
    if (edge.key == kFree) continue;
    size_t slot = slot_of(edge.key);
    while (edges_[slot].key != kFree) slot = (slot + 1) & mask_;
    edges_[slot] = edge;
  }
}

void PrefixTrie::add(std::string_view token, TokenId id) {
  if (token.empty()) return;
  uint32_t node = 0;
  for (const char byte : token) {
    const auto value = static_cast<unsigned char>(byte);
    uint32_t next = child(node, value);
    if (next == kNoNode) {
      if (ids_.size() * 2 > edges_.size()) resize(edges_.size() * 2);
      next = static_cast<uint32_t>(ids_.size());
      ids_.push_back(kNone);
      const uint64_t key = key_of(node, value);
      size_t slot = slot_of(key);
      while (edges_[slot].key != kFree) slot = (slot + 1) & mask_;
      edges_[slot] = {key, next};
    }
    node = next;
  }
  ids_[node] = id;
}

}  // namespace lathe::tokenize
