#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "lathe/tokenize/tokenizer.h"

namespace lathe::tokenize {

/// Distinct words as symbols, one behind the other, and how often each occurs.
struct SymbolWords {
  std::vector<TokenId> symbols;
  std::vector<size_t> first{0};  // word i is symbols[first[i]] to symbols[first[i + 1]]
  std::vector<int64_t> counts;
  void finish_word(int64_t count) {
    first.push_back(symbols.size());
    counts.push_back(count);
  }
};

struct LearntMerges {
  std::vector<std::string> tokens;                  // by id: those given, then those made
  std::vector<std::pair<TokenId, TokenId>> merges;  // in order of rank
};

/// Learns merges (Sennrich et al. 2016): the most frequent pair of neighbours becomes a token, of equals the one with
/// the smallest ids, until there are `vocabulary_size` tokens or no pair occurs `minimum_frequency` times. Equal to
/// Hugging Face's BpeTrainer in every merge, also where a token can be made in two ways: then a pair may be handled in
/// parts, and the last time decides its rank. `inside_prefix` stands before tokens that do not begin a word.
LearntMerges learn_merges(SymbolWords words, std::vector<std::string> tokens, int64_t vocabulary_size,
                          int64_t minimum_frequency, std::string inside_prefix = {});

}  // namespace lathe::tokenize
