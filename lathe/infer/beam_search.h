#pragma once

#include <functional>
#include <span>
#include <vector>

#include "lathe/infer/decoder.h"

namespace lathe {

/// When a search ends before its texts have their full length: as soon as there are as many finished texts as beams
/// (yes); when the best running one, were it to end now, is worse than all of them (no); when it could not become
/// better at any length (never).
enum class EarlyStopping : uint8_t { no, yes, never };

/// As transformers names and defines them.
struct BeamOptions {
  int64_t beams = 4;
  double length_penalty = 1;  ///< a text's score is its log probability over its length to this power
  EarlyStopping early_stopping = EarlyStopping::no;
  double repetition_penalty = 1;
  int64_t no_repeat_ngram_size = 0;
  int64_t max_new_tokens = 128;
  int64_t forced_bos_token_id = -1, forced_eos_token_id = -1;  ///< the first new token, and the last of the longest
};

/// Throws Error naming the option that is out of range.
void check_beams(const BeamOptions& options);

struct BeamResult {
  std::vector<uint32_t> tokens;  ///< new ones, with the one that ended it
  float score = 0;
};

/// Search for likely texts (Graves 2012): of all continuations of `beams` running texts the likeliest go on. Chooses
/// what transformers chooses. One thread.
class BeamSearch {
 public:
  /// Runs an episode of the decoder; `starts`: one in which the encoder reads.
  using RunStep = std::function<void(bool starts, const std::function<void()>& step)>;

  /// `decoder` must outlive it, have room for `beams` sequences, and for the tokens of a whole prompt in a step. Logits
  /// have `vocabulary` real columns. Throws Error for options out of range.
  BeamSearch(Decoder& decoder, int64_t vocabulary, std::vector<uint32_t> end_tokens, const BeamOptions& options);

  /// The texts behind `prompt`, best first, `beams` of them at most; of an encoder-decoder about `source`, else that is
  /// empty. `run_step` may be null, and `stop` (asked before each step) too: there is no result then.
  std::vector<BeamResult> run(std::span<const uint32_t> source, std::span<const uint32_t> prompt,
                              const RunStep& run_step = nullptr, const std::function<bool()>& stop = nullptr);

 private:
  friend class Beams;
  Decoder& decoder_;
  int64_t vocabulary_;
  std::vector<uint32_t> end_tokens_;
  BeamOptions options_;
};

}  // namespace lathe
