#pragma once

#include <vector>

#include "lathe/tokenize/vocabulary.h"

namespace lathe::tokenize {

/// A rule of BPE: two neighbours become one token.
struct TokenMerge {
  TokenId left, right, result;
};

/// The tables of a model, in whatever file they stood.
struct ModelTables {
  Vocabulary vocabulary;
  std::vector<TokenMerge> merges;  // BPE: by rank
  std::vector<double> scores;      // Unigram: log probabilities, by id
};

/// The merges of SentencePiece's BPE, whose files hold a score for each piece: each way to put a piece together from
/// two others, in order of the piece's score. `takes_part` says which tokens are pieces of text.
std::vector<TokenMerge> merges_by_score(const Vocabulary& vocabulary, const std::vector<float>& scores,
                                        const std::vector<bool>& takes_part);

}  // namespace lathe::tokenize
