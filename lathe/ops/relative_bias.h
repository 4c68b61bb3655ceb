#pragma once

#include <array>

#include "lathe/tensor/kernel.h"

namespace lathe {

/// How distances share the rows of a table (Raffel et al. 2020): half of the buckets have a distance each, the others
/// ranges that widen up to `max_distance`; all beyond are in the last. Looking both ways, each side has half of them.
struct RelativeBuckets {
  static constexpr int64_t kMostOfSide = 64;

  /// Throws Error for numbers that leave no bucket for far distances.
  RelativeBuckets(int64_t buckets, int64_t max_distance, bool both_ways);

  int64_t buckets, max_distance;
  bool both_ways;                             ///< false: no key is ahead of its query
  int64_t of_side;                            ///< buckets behind the query, and as many ahead where it looks both ways
  std::array<int32_t, kMostOfSide> starts{};  ///< the nearest distance of each bucket of a side, rising

  int64_t distances() const { return both_ways ? 2 * max_distance + 1 : max_distance + 1; }
  int64_t zero() const { return max_distance; }  ///< column of distance 0
  /// The bucket of (key position - query position).
  int64_t of(int64_t distance) const;
};

/// out[head, column] = table[bucket of column - zero, head]; f32.
constinit inline Kernel<void(const Tensor& table, const RelativeBuckets& buckets, Tensor& out)> relative_bias_kernel{
    "relative_bias"};
/// dtable[bucket, head] = the sum of dy over the bucket's columns, in order; f32.
constinit inline Kernel<void(const Tensor& dy, const RelativeBuckets& buckets, Tensor& dtable)>
    relative_bias_backward_kernel{"relative_bias_backward"};

/// A bias a bucket, as attention adds it: a column a distance (AttentionSpec::bias, bias_zero = buckets.zero()).
///   table f32 [buckets, heads] -> f32 [heads, distances()]
/// Throws Error when the table does not fit. Differentiable in table.
Tensor relative_bias(const Tensor& table, const RelativeBuckets& buckets);

}  // namespace lathe
