#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace lathe {

/// Counter-based random numbers (Philox 4x32-10, Salmon et al. 2011): value n of a key is a function of both, so any
/// element can be drawn alone, again, and by any thread or rank.
class Random {
 public:
  Random() = default;
  explicit Random(uint64_t seed) : key_(seed) {}
  /// An independent stream: for a step, a layer, a use, a sequence.
  Random fork(uint64_t number) const;
  Random fork(std::string_view name) const;

  std::array<uint32_t, 4> block(uint64_t counter) const;  ///< 128 random bits
  uint32_t bits(uint64_t n) const { return block(n / 4)[n % 4]; }
  float uniform(uint64_t n) const;  ///< in [0, 1), 24 bits
  float normal(uint64_t n) const;   ///< mean 0, variance 1 (Box and Muller 1958)
  uint64_t key() const { return key_; }

 private:
  uint64_t key_ = 0;
};

}  // namespace lathe
