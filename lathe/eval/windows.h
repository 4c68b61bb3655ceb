#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "lathe/eval/token_source.h"

namespace lathe::eval {

/// How a long text is cut into pieces that a model can read.
struct WindowOptions {
  int64_t window = 0;  ///< tokens that the model reads at a time
  int64_t stride = 0;  ///< from one window to the next: every token but the first `window` of a sequence is predicted
                       ///< from at least window - stride + 1 tokens before it
  int64_t batch = 1;   ///< windows in a forward pass
  bool separate = false;  ///< each document by itself; otherwise they are one sequence, as a model is trained
  bool halves = false;    ///< as llama.cpp measures: whole windows side by side, the first token of each replaced
                          ///< by `start`, and of each only the second half is predicted
  std::optional<int32_t> start;  ///< stands before the first token of a sequence; without one, that is not predicted

  int64_t batch_tokens() const { return batch * window; }
  /// Rows of logits that a pass needs at most.
  int64_t batch_rows() const { return separate ? batch_tokens() : window + (batch - 1) * stride; }
};

/// Some windows, for one forward pass: at most batch_tokens() tokens in sequences of at most `window`.
struct WindowBatch {
  std::vector<int32_t> tokens, positions;
  std::vector<int32_t> offsets;  ///< sequence n is tokens offsets[n] .. offsets[n + 1]-1
  std::vector<int32_t> rows;     ///< which tokens predict something, and ...
  std::vector<int32_t> targets;  ///< ... what: each token of the text exactly once
};

/// The sliding windows over a source. One thread.
class Windows {
 public:
  Windows(TokenSource& source, const WindowOptions& options) : source_(source), options_(options) {}
  /// Fills `batch`; false at the end.
  bool next(WindowBatch& batch);

  int64_t bytes() const { return bytes_; }          ///< of the text so far
  int64_t documents() const { return documents_; }  ///< that ended so far
  /// Tokens that are not among the targets, but whose text is among bytes(): first ones that nothing stood before, and
  /// with `halves` all that were only read.
  const std::vector<int32_t>& unpredicted() const { return unpredicted_; }

 private:
  bool find_window();
  bool begin_sequence();
  void read_until(int64_t tokens);
  bool next_halves(WindowBatch& batch);
  int64_t end_of_window() const;

  TokenSource& source_;
  WindowOptions options_;
  TokenPiece piece_;
  std::vector<int32_t> sequence_;  ///< what is left of the current sequence from the current window on
  bool whole_ = true;              ///< nothing of the sequence is left in the source
  int64_t begin_ = 0;              ///< of the current window in sequence_
  int64_t scored_ = 0;             ///< last token of sequence_ that was a target
  int64_t bytes_ = 0, documents_ = 0;
  std::vector<int32_t> unpredicted_;
};

}  // namespace lathe::eval
