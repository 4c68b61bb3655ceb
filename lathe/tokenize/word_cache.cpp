#include "lathe/tokenize/word_cache.h"

#include <array>
#include <cstdlib>
#include <new>

#include "lathe/base/hash.h"

namespace lathe::tokenize {
namespace {

template <class Entry>
std::unique_ptr<Entry[], void (*)(void*)> zeroed(size_t entries) {
  void* memory = std::calloc(entries, sizeof(Entry));
  if (!memory) throw std::bad_alloc();
  return {static_cast<Entry*>(memory), std::free};
}

}  // namespace

WordCache::WordCache() : shorts_(zeroed<Short>(kShorts)), longs_(zeroed<Long>(kLongs)) {}

void WordCache::clear() { *this = WordCache(); }

void WordCache::encode_short(std::string_view word, const WordModel& model, std::vector<TokenId>& ids) {
  const PackedWord key = packed(word);
  Short& entry = shorts_[key.hash() % kShorts];
  if (entry.key == key) {
    ids.insert(ids.end(), entry.ids, entry.ids + entry.count);
    return;
  }
  const size_t first = ids.size();
  model.encode_word(word, ids);
  const size_t count = ids.size() - first;
  if (count > 3) return;
  entry = {key, {}, static_cast<uint32_t>(count)};
  std::copy(ids.end() - static_cast<ptrdiff_t>(count), ids.end(), entry.ids);
}

void WordCache::encode_long(std::string_view word, const WordModel& model, std::vector<TokenId>& ids) {
  if (word.size() > sizeof(Long::word) || word.empty()) return model.encode_word(word, ids);
  Long& entry = longs_[hash64(word) % kLongs];
  if (entry.bytes == word.size() && std::memcmp(entry.word, word.data(), word.size()) == 0) {
    ids.insert(ids.end(), entry.ids, entry.ids + entry.count);
    return;
  }
  const size_t first = ids.size();
  model.encode_word(word, ids);
  const size_t count = ids.size() - first;
  if (count > std::size(entry.ids)) return;
  entry.bytes = static_cast<uint8_t>(word.size());
  entry.count = static_cast<uint8_t>(count);
  std::memcpy(entry.word, word.data(), word.size());
  std::copy(ids.end() - static_cast<ptrdiff_t>(count), ids.end(), entry.ids);
}

WordCache& thread_word_cache(uint64_t owner) {
  struct Kept {
    uint64_t owner = 0;
    std::unique_ptr<WordCache> cache;
  };
  thread_local std::array<Kept, 4> kept;
  thread_local size_t oldest = 0;
  for (Kept& one : kept) {
    if (one.owner == owner) return *one.cache;
  }
  Kept& one = kept[oldest++ % kept.size()];
  if (one.cache) {
    one.cache->clear();
  } else {
    one.cache = std::make_unique<WordCache>();
  }
  one.owner = owner;
  return *one.cache;
}

}  // namespace lathe::tokenize
