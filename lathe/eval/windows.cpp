#include "lathe/eval/windows.h"

#include <algorithm>
#include <numeric>

namespace lathe::eval {
namespace {

void number_positions(WindowBatch& batch) {
  batch.positions.resize(batch.tokens.size());
  for (size_t i = 1; i < batch.offsets.size(); ++i)
    std::iota(batch.positions.begin() + batch.offsets[i - 1], batch.positions.begin() + batch.offsets[i], 0);
}

}  // namespace

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

/// With options_.halves. Only whole windows count.
bool Windows::next_halves(WindowBatch& batch) {
  const int64_t window = options_.window, half = window / 2;
  if (whole_ && begin_ == 0) {
    whole_ = false;
    if (options_.start) sequence_.push_back(*options_.start);
  }
  while (int64_t(batch.tokens.size()) + window - 1 <= options_.batch_tokens()) {
    read_until(begin_ + window);
    if (int64_t(sequence_.size()) < begin_ + window) {
      unpredicted_.insert(unpredicted_.end(), sequence_.begin() + begin_, sequence_.end());
      begin_ = int64_t(sequence_.size());
      break;
    }
    const auto first = int64_t(batch.tokens.size());
    auto tokens = sequence_.begin() + begin_;
    unpredicted_.insert(unpredicted_.end(), tokens, tokens + half + 1);
    batch.tokens.insert(batch.tokens.end(), tokens, tokens + window - 1);
    if (options_.start) batch.tokens[size_t(first)] = *options_.start;
    batch.offsets.push_back(int32_t(batch.tokens.size()));
    for (int64_t target = half + 1; target < window; ++target) {
      batch.rows.push_back(int32_t(first + target - 1));
      batch.targets.push_back(tokens[target]);
    }
    begin_ += window;
  }
  return !batch.rows.empty();
}

bool Windows::next(WindowBatch& batch) {
  batch = {};
  batch.offsets.push_back(0);
  if (options_.halves) {
    bool found = next_halves(batch);
    number_positions(batch);
    return found;
  }
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
  number_positions(batch);
  return !batch.rows.empty();
}

}  // namespace lathe::eval
