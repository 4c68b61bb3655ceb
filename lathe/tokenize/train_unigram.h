#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace lathe::tokenize {

struct UnigramTraining {
  size_t pieces = 8000;           // to learn, single characters included
  size_t longest = 16;            // characters of a piece
  size_t seeds = 1'000'000;       // candidates to begin with
  int64_t minimum_frequency = 2;  // of a candidate of several characters
  int threads = 0;
};

/// Pieces with their log probabilities, most probable first, such that texts made of `words` (with how often each
/// occurs) are as probable as possible (Kudo 2018): of all frequent substrings the less useful ones are dropped, a
/// quarter at a time, while expectation maximization estimates the probabilities of the others. All characters are
/// kept. Does not depend on the number of threads. Throws Error when the characters do not fit.
std::vector<std::pair<std::string, double>> learn_pieces(std::vector<std::pair<std::string, int64_t>> words,
                                                         const UnigramTraining& training);

}  // namespace lathe::tokenize
