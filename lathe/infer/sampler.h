#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "lathe/tensor/random.h"

namespace lathe {

/// How the next token is chosen. The steps apply in this order, each to what the one before left, as in transformers.
struct SamplingOptions {
  double repetition_penalty = 1;  ///< logits of tokens that occurred: divided by it above 0, multiplied below (CTRL)
  double temperature = 1;         ///< logits are divided by it; 0: the likeliest token always (lowest id of equals)
  int64_t top_k = 0;              ///< the likeliest k tokens; 0: all
  double top_p = 1;               ///< the fewest likeliest tokens with this much probability (Holtzman et al. 2020)
  double min_p = 0;               ///< tokens with at least this share of the likeliest one's probability
  uint64_t seed = 1;
  int64_t no_repeat_ngram_size = 0;  ///< > 0: no sequence of that many tokens occurs twice (Paulus et al. 2018)
};

/// Scores of tokens that occurred in `history`: divided by `penalty` above 0, multiplied below (Keskar et al. 2019).
void penalize_repeats(std::span<float> scores, std::span<const uint32_t> history, double penalty);
/// -infinity for tokens that would repeat a sequence of `size` tokens of `history`; 0: for none.
void forbid_repeats(std::span<float> scores, std::span<const uint32_t> history, int64_t size);

/// Throws Error naming the option that is out of range.
void check_sampling(const SamplingOptions& options);
/// Whether the likeliest token is taken, whatever came before.
bool is_greedy(const SamplingOptions& options);
inline constexpr const char* kLogitsAreNoNumbers =
    "the model gives logits that are no numbers; its weights are damaged, or its training failed";

struct Candidate {
  uint32_t token;
  float probability;  ///< before drawing: of those that are left, summing to 1
};

/// Chooses tokens of one sequence. The random number at a position depends on seed, stream and position alone, so
/// neither batching nor what other sequences do changes what is drawn.
class Sampler {
 public:
  /// `stream` tells sequences of one seed apart.
  Sampler(const SamplingOptions& options, uint64_t stream);

  /// The token that follows `history` (prompt and text so far).
  uint32_t choose(std::span<const float> logits, std::span<const uint32_t> history);

  /// What choose() draws from: likeliest first, lower ids first among equals; by id where nothing is cut off.
  /// Valid until the next call. Needs a temperature above 0.
  std::span<const Candidate> candidates(std::span<const float> logits, std::span<const uint32_t> history);

 private:
  SamplingOptions options_;
  Random random_;
  std::vector<float> logits_;
  std::vector<Candidate> candidates_;

  /// `logits`, or what repeats make of them.
  std::span<const float> penalized(std::span<const float> logits, std::span<const uint32_t> history);
  void keep_likeliest(size_t count);
  void keep_share(double share);
};

}  // namespace lathe
