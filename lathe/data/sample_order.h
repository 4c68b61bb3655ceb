#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace lathe::data {

/// A permutation of 0 .. size-1 chosen by `key`, computed one value at a time: a Feistel network over the next even
/// number of bits, walked until it lands inside (Black and Rogaway 2002). Needs no memory, so any sample of any epoch
/// can be found from its number alone. Immutable; any thread may call.
class Permutation {
 public:
  Permutation(uint64_t size, uint64_t key);
  /// Where `index` goes; `index` must be below size().
  uint64_t operator()(uint64_t index) const;
  uint64_t size() const { return size_; }

 private:
  uint64_t size_;
  uint64_t key_;
  int half_bits_;
};

/// Which corpus gives sample `number` of a run, and which of its own samples that is. Samples come in blocks of
/// kBlock; each block holds every corpus in proportion to its weight, to within one sample of a block and at least
/// one, in an order chosen by the seed. Immutable; any thread may call.
class Mixture {
 public:
  static constexpr int64_t kBlock = 16384;
  struct Pick {
    int corpus = 0;
    int64_t number = 0;  // counts on from epoch to epoch
  };

  /// Throws Error when a weight is not above 0 or there are none.
  Mixture(const std::vector<double>& weights, uint64_t seed);
  Pick pick(int64_t number) const;

 private:
  std::vector<int64_t> ends_;  // in a block, corpus c has places ends_[c-1] .. ends_[c]-1
  uint64_t seed_;
};

/// The windows of `length` tokens (and one more, the last target) that a corpus of `tokens` is read in. Each epoch
/// takes every window once in an order of its own, starting at an offset of its own inside what does not fill a
/// window. Immutable; any thread may call.
class WindowOrder {
 public:
  struct Window {
    int64_t first_token = 0;
    int64_t epoch = 0;
  };

  /// Throws Error when the corpus is shorter than one window and its target; `name` says which corpus that is.
  WindowOrder(int64_t tokens, int64_t length, uint64_t seed, const std::string& name);
  Window window(int64_t number) const;
  int64_t windows_per_epoch() const { return windows_; }

 private:
  int64_t length_;
  int64_t windows_;
  int64_t spare_;  // tokens that do not fill a window
  uint64_t seed_;
};

/// A key for the part of a run that `seed` and `part` name; unrelated for different parts.
uint64_t derive_key(uint64_t seed, uint64_t part);

}  // namespace lathe::data
