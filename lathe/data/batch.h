#pragma once

#include <cstdint>
#include <vector>

namespace lathe::data {

/// How documents share a row. Both fill every row; nothing is padded.
enum class Packing : uint8_t {
  concatenated,  // attention crosses documents; a row is one sequence
  document,      // attention stays inside a document; a row holds several sequences, positions restart in each
};

/// A target that counts for nothing.
constexpr int32_t kIgnoreTarget = -1;

/// Tokens for one forward and backward pass: `rows` rows of `sequence_length`, one after another. Plain data.
struct Batch {
  /// Where a row was taken from; corpus -1 is filler at the end of a held-out stream.
  struct Row {
    int corpus = 0;
    int64_t first_token = 0;  // in the split's token stream
    int64_t epoch = 0;
  };

  int64_t step = 0;
  int64_t micro_batch = 0;  // of the step, from 0
  int64_t sequence_length = 0;
  std::vector<int32_t> tokens;
  std::vector<int32_t> targets;    // the token that follows, or kIgnoreTarget
  std::vector<int32_t> positions;  // inside the sequence
  /// Sequence i is tokens sequence_offsets[i] .. sequence_offsets[i+1]-1 (cu_seqlens of packed attention).
  std::vector<int32_t> sequence_offsets;
  /// A number for each sequence that no other of the run has, whatever the ranks and micro-batches: keys randomness.
  std::vector<int64_t> sequence_ids;
  std::vector<Row> rows;
  int64_t target_count = 0;  // targets that count

  int64_t longest_sequence() const;
};

}  // namespace lathe::data
