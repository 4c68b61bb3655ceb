#pragma once

#include <cstdint>
#include <vector>

#include "lathe/data/batch.h"
#include "lathe/data/token_shards.h"

namespace lathe::data {

/// Lays rows into a batch, one after another. One thread; the batch must have the shape that empty_batch() gives.
class RowFiller {
 public:
  RowFiller(int64_t sequence_length, Packing packing) : length_(sequence_length), packing_(packing) {}

  Batch empty_batch(int64_t rows) const;

  /// Adds the row whose first input is token `first` of `split` and whose sequences are numbered from `row_number`
  /// times the sequence length. With first == -1 the row starts with `before` instead. Where the split ends, the rest
  /// of the row is a sequence of filler whose targets are ignored.
  void add(Batch& batch, const TokenSplit& split, const Batch::Row& row, int64_t row_number, int32_t before = 0);

  /// Ends the last sequence and numbers the positions.
  void finish(Batch& batch) const;

 private:
  void begin_sequence(Batch& batch, int64_t start, int64_t row_number, int64_t at) const;
  void split_documents(Batch& batch, const TokenSplit& split, int64_t first, int64_t used, int64_t row_number) const;

  int64_t length_;
  Packing packing_;
  std::vector<int32_t> window_;
};

}  // namespace lathe::data
