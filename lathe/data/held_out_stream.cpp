#include <algorithm>

#include "lathe/base/error.h"
#include "lathe/data/row_filler.h"
#include "lathe/data/token_loader.h"

namespace lathe::data {

HeldOutStream::HeldOutStream(const TokenShards& shards, int64_t sequence_length, int64_t rows, Packing packing)
    : shards_(shards), sequence_length_(sequence_length), rows_(rows), packing_(packing) {
  require(sequence_length >= 1 && rows >= 1 && rows <= INT32_MAX / std::max<int64_t>(sequence_length, 1),
          "data: cannot evaluate in batches of ", rows, " x ", sequence_length, " tokens");
  const bool context = packing == Packing::concatenated && shards.index().end_of_document.has_value();
  begin_ = context ? -1 : 0;
  require(shards.held_out().tokens() >= 2, shards.held_out().name(),
          ": has no held-out text: prepare the data with --held-out 0.01, or turn evaluation off");
}

int64_t HeldOutStream::batches() const {
  const int64_t targets = shards_.held_out().tokens() - 1 - begin_;
  const int64_t all_rows = (targets + sequence_length_ - 1) / sequence_length_;
  return (all_rows + rows_ - 1) / rows_;
}

Batch HeldOutStream::batch(int64_t number) const {
  require(number >= 0 && number < batches(), shards_.held_out().name(), ": has ", batches(), " batches, no number ",
          number);
  const TokenSplit& split = shards_.held_out();
  const auto context = static_cast<int32_t>(shards_.index().end_of_document.value_or(0));
  RowFiller filler(sequence_length_, packing_);
  Batch batch = filler.empty_batch(rows_);
  batch.step = number;
  for (int64_t row = number * rows_; row < (number + 1) * rows_; ++row) {
    const int64_t first = begin_ + row * sequence_length_;
    const bool filled = first + 1 < split.tokens();
    filler.add(batch, split, {filled ? 0 : -1, first, 0}, row, context);
  }
  filler.finish(batch);
  return batch;
}

int64_t HeldOutStream::bytes() const { return shards_.held_out().bytes(); }

}  // namespace lathe::data
