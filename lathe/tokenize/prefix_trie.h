#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "lathe/tokenize/tokenizer.h"

namespace lathe::tokenize {

/// Finds which of many tokens a text begins with: a trie of bytes whose edges lie in one hash table.
class PrefixTrie {
 public:
  static constexpr TokenId kNone = UINT32_MAX;

  /// For about this many bytes of tokens.
  explicit PrefixTrie(size_t bytes = 0);

  /// Of equal tokens the last one counts.
  void add(std::string_view token, TokenId id);

  /// Calls found(bytes, id) for each token that `text` begins with, the shortest first.
  template <class Found>
  void prefixes(std::string_view text, Found found) const {
    uint32_t node = 0;
    for (size_t i = 0; i < text.size(); ++i) {
      node = child(node, static_cast<unsigned char>(text[i]));
      if (node == kNoNode) return;
      if (ids_[node] != kNone) found(i + 1, ids_[node]);
    }
  }

 private:
  struct Edge {
    uint64_t key;
    uint32_t node;
  };
  static constexpr uint32_t kNoNode = UINT32_MAX;
  static constexpr uint64_t kFree = UINT64_MAX;
  static uint64_t key_of(uint32_t node, unsigned char byte) { return uint64_t{node} << 8 | byte; }
  size_t slot_of(uint64_t key) const { return (key * 0x9E3779B97F4A7C15u) >> shift_; }
  uint32_t child(uint32_t node, unsigned char byte) const {
    const uint64_t key = key_of(node, byte);
    for (size_t slot = slot_of(key);; slot = (slot + 1) & mask_) {
      if (edges_[slot].key == key) return edges_[slot].node;
      if (edges_[slot].key == kFree) return kNoNode;
    }
  }
  void resize(size_t slots);

  std::vector<Edge> edges_;
  std::vector<TokenId> ids_;  // by node
  size_t mask_ = 0;
  int shift_ = 0;
};

}  // namespace lathe::tokenize
