#include "lathe/eval/windows.h"

#include <algorithm>
#include <numeric>

namespace lathe::eval {

/// Reads on until sequence_ has `tokens` tokens or the sequence ends.
void Windows::read_until(int64_t tokens) {
  if (int64_t(sequence_.size()) < tokens && !whole_) {  // what lies behind is needed no more
    sequence_.erase(sequence_.begin(), sequence_.begin() + begin_);
    scored_ -= begin_;
    tokens -= begin_;
    begin_ = 0;
  }
  while (int64_t(sequence_.size()) < tokens && !whole_) {
    if (!source_.next(piece_)) {
      whole_ = true;
      return;
    }
    sequence_.insert(sequence_.end(), piece_.tokens.begin(), piece_.tokens.end());
    bytes_ += piece_.bytes;
    documents_ += piece_.ends_document;
    whole_ = options_.separate && piece_.ends_document;
  }
}

/// False when the source has no more.
bool Windows::begin_sequence() {
  sequence_.clear();
  begin_ = scored_ = 0;
  whole_ = false;
  int64_t before = 0;
  if (options_.start) {
    sequence_.push_back(*options_.start);
    before = 1;
  }
  read_until(before + 1);
  if (int64_t(sequence_.size()) == before) return false;
  if (!options_.start) unpredicted_.push_back(sequence_.front());
  return true;
}

int64_t Windows::end_of_window() const {
  return std::min(begin_ + options_.window, int64_t(sequence_.size()) - 1);  // its last target
}

/// Makes the next window with something to predict the current one; false at the end.
bool Windows::find_window() {
  while (true) {
    read_until(begin_ + options_.window + 1);
    if (end_of_window() > scored_) return true;
    if (whole_ && !begin_sequence()) return false;
  }
}

bool Windows::next(WindowBatch& batch) {
  batch = {};
  batch.offsets.push_back(0);
  while (find_window()) {
    int64_t end = end_of_window(), length = end - begin_, first = int64_t(batch.tokens.size());
    if (first + length > options_.batch_tokens()) break;
    if (int64_t(batch.rows.size()) + end - scored_ > options_.batch_rows()) break;
    batch.tokens.insert(batch.tokens.end(), sequence_.begin() + begin_, sequence_.begin() + end);
    batch.offsets.push_back(int32_t(first + length));
    for (int64_t target = scored_ + 1; target <= end; ++target) {
      batch.rows.push_back(int32_t(first + target - 1 - begin_));
      batch.targets.push_back(sequence_[size_t(target)]);
    }
    scored_ = end;
    begin_ += options_.stride;
  }
  batch.positions.resize(batch.tokens.size());
  for (size_t i = 1; i < batch.offsets.size(); ++i)
    std::iota(batch.positions.begin() + batch.offsets[i - 1], batch.positions.begin() + batch.offsets[i], 0);
  return !batch.rows.empty();
}

}  // namespace lathe::eval
