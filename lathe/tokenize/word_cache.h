#pragma once

#include <cstdint>
#include <cstring>
#include <memory>
#include <string_view>
#include <vector>

#include "lathe/tokenize/packed_word.h"
#include "lathe/tokenize/word_model.h"

namespace lathe::tokenize {

/// Remembers what words became, since a few thousand words make up most of a text. Fixed size (2 MiB + 2 MiB), one
/// place a word, the last one wins. One thread.
class WordCache {
 public:
  WordCache();

  /// Appends the ids of `word`, from here or else from `model`, which must be the same one each time.
  void encode(std::string_view word, const WordModel& model, std::vector<TokenId>& ids) {
    if (word.size() - 1 < 15) {
      encode_short(word, model, ids);
    } else {
      encode_long(word, model, ids);
    }
  }
  /// Forgets everything, for use with another model.
  void clear();

 private:
  /// Most words: 15 bytes and 3 ids at most; 32 bytes, so an entry lies in one cache line.
  struct Short {
    PackedWord key;  // zeros when free
    TokenId ids[3];
    uint32_t count;
  };
  struct Long {
    uint8_t bytes, count;
    char word[54];
    TokenId ids[18];
  };
  static constexpr size_t kShorts = size_t{1} << 16, kLongs = size_t{1} << 14;

  void encode_short(std::string_view word, const WordModel& model, std::vector<TokenId>& ids);
  void encode_long(std::string_view word, const WordModel& model, std::vector<TokenId>& ids);

  std::unique_ptr<Short[], void (*)(void*)> shorts_;
  std::unique_ptr<Long[], void (*)(void*)> longs_;
};

/// The cache of this thread for the tokenizer numbered `owner`; a thread keeps those of the last few.
WordCache& thread_word_cache(uint64_t owner);

}  // namespace lathe::tokenize
