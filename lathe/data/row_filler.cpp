#include "lathe/data/row_filler.h"

#include <algorithm>
#include <numeric>

namespace lathe::data {

Batch RowFiller::empty_batch(int64_t rows) const {
  Batch batch;
  batch.sequence_length = length_;
  const auto size = static_cast<size_t>(rows * length_);
  batch.tokens.reserve(size);
  batch.targets.reserve(size);
  batch.positions.resize(size);
  batch.sequence_offsets.push_back(0);
  return batch;
}

/// Ends the sequence that came before and begins one at token `at` of the row that starts at token `start`.
void RowFiller::begin_sequence(Batch& batch, int64_t start, int64_t row_number, int64_t at) const {
  if (start + at > 0) batch.sequence_offsets.push_back(static_cast<int32_t>(start + at));
  batch.sequence_ids.push_back(row_number * length_ + at);
}

/// Begins a sequence at every document that starts inside the row; the last token before each has no target.
void RowFiller::split_documents(Batch& batch, const TokenSplit& split, int64_t first, int64_t used,
                                int64_t row_number) const {
  const auto start = static_cast<int64_t>(batch.tokens.size()) - length_;
  int64_t document = first < 0 ? 0 : split.document_at(first) + 1;
  for (; document < split.documents(); ++document) {
    const int64_t at = split.document_start(document) - first;
    if (at > used) return;
    if (at <= 0) continue;
    batch.targets[static_cast<size_t>(start + at - 1)] = kIgnoreTarget;
    if (at < used && batch.sequence_offsets.back() < start + at) begin_sequence(batch, start, row_number, at);
  }
}

void RowFiller::add(Batch& batch, const TokenSplit& split, const Batch::Row& row, int64_t row_number, int32_t before) {
  const auto start = static_cast<int64_t>(batch.tokens.size());
  const int64_t first = row.corpus < 0 ? split.tokens() : row.first_token;
  const int64_t used = std::clamp<int64_t>(split.tokens() - first, 0, length_);  // inputs; the last may lack a target
  const int64_t known = std::min(length_ + 1, split.tokens() - first);
  window_.assign(static_cast<size_t>(length_ + 1), 0);
  const int64_t skip = first < 0 ? 1 : 0;
  if (skip == 1) window_[0] = before;
  if (known > skip) split.read(first + skip, std::span(window_).subspan(skip, static_cast<size_t>(known - skip)));

  batch.tokens.insert(batch.tokens.end(), window_.begin(), window_.end() - 1);
  batch.targets.insert(batch.targets.end(), window_.begin() + 1, window_.end());
  std::fill(batch.targets.begin() + start + std::max<int64_t>(known - 1, 0), batch.targets.end(), kIgnoreTarget);
  begin_sequence(batch, start, row_number, 0);
  if (packing_ == Packing::document && used > 0) split_documents(batch, split, first, used, row_number);
  if (used > 0 && used < length_) begin_sequence(batch, start, row_number, used);

  const auto targets = batch.targets.begin() + start;
  batch.target_count += length_ - std::count(targets, batch.targets.end(), kIgnoreTarget);
  batch.rows.push_back(row);
}

void RowFiller::finish(Batch& batch) const {
  batch.sequence_offsets.push_back(static_cast<int32_t>(batch.tokens.size()));
  for (size_t i = 1; i < batch.sequence_offsets.size(); ++i)
    std::iota(batch.positions.begin() + batch.sequence_offsets[i - 1],
              batch.positions.begin() + batch.sequence_offsets[i], 0);
}

}  // namespace lathe::data
