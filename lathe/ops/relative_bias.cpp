#include "lathe/ops/relative_bias.h"

#include <algorithm>
#include <cmath>

#include "lathe/tensor/tape.h"

namespace lathe {

RelativeBuckets::RelativeBuckets(int64_t count, int64_t most, bool both)
    : buckets(count), max_distance(most), both_ways(both), of_side(both ? count / 2 : count) {
  int64_t exact = of_side / 2;
  require(exact > 0 && of_side <= kMostOfSide && max_distance > exact && max_distance <= 1 << 20,
          "relative bias: ", buckets, " buckets (at most ", (both ? 2 : 1) * kMostOfSide,
          ") do not suit distances up to ", max_distance);
  // in f32, as the models were trained: the logarithm decides which range a distance falls in
  auto wide = float(std::log(double(max_distance) / double(exact)));
  for (int64_t bucket = 0; bucket < of_side; ++bucket) starts[size_t(bucket)] = int32_t(max_distance);
  for (int64_t distance = max_distance; distance >= 0; --distance) {
    int64_t bucket = distance;
    if (distance >= exact)
      bucket = exact + int64_t(std::log(float(distance) / float(exact)) / wide * float(of_side - exact));
    starts[size_t(std::min(bucket, of_side - 1))] = int32_t(distance);
  }
  for (int64_t bucket = of_side - 1; bucket-- > 0;)  // a range that no distance falls in
    starts[size_t(bucket)] = std::min(starts[size_t(bucket)], starts[size_t(bucket) + 1]);
}

int64_t RelativeBuckets::of(int64_t distance) const {
  int64_t size = std::abs(distance);
  if (!both_ways) size = std::max<int64_t>(-distance, 0);
  auto behind = std::upper_bound(starts.begin(), starts.begin() + of_side, size) - starts.begin() - 1;
  return both_ways && distance > 0 ? of_side + behind : behind;
}

Tensor relative_bias(const Tensor& table, const RelativeBuckets& buckets) {
  require(table.dtype() == DType::f32 && table.shape().rank() == 2 && table.shape()[0] == buckets.buckets,
          "relative_bias: table ", name_of(table.dtype()), ' ', table.shape(), " must be f32 [", buckets.buckets,
          ", heads]");
  Tensor out = Tensor::empty({table.shape()[1], buckets.distances()});
  relative_bias_kernel({0, table.bytes() + out.bytes()}, table, buckets, out);
  record({&out}, {&table}, {[shape = table.shape(), buckets](std::span<const Tensor> dy) -> Gradients {
           Tensor dtable = Tensor::empty(shape);
           relative_bias_backward_kernel({dy[0].elements(), dy[0].bytes() + dtable.bytes()}, dy[0], buckets, dtable);
           return {dtable};
         }});
  return out;
}

namespace {

void relative_bias_plain(const Tensor& table, const RelativeBuckets& buckets, Tensor& out) {
  int64_t heads = out.shape()[0], distances = out.shape()[1];
  for (int64_t column = 0; column < distances; ++column) {
    const float* row = table.data<float>() + buckets.of(column - buckets.zero()) * heads;
    for (int64_t head = 0; head < heads; ++head) out.data<float>()[head * distances + column] = row[head];
  }
}

void relative_bias_backward_plain(const Tensor& dy, const RelativeBuckets& buckets, Tensor& dtable) {
  int64_t heads = dy.shape()[0], distances = dy.shape()[1];
  std::fill(dtable.data<float>(), dtable.data<float>() + dtable.elements(), 0.0f);
  for (int64_t column = 0; column < distances; ++column) {
    float* row = dtable.data<float>() + buckets.of(column - buckets.zero()) * heads;
    for (int64_t head = 0; head < heads; ++head) row[head] += dy.data<float>()[head * distances + column];
  }
}

const bool provided = relative_bias_kernel.provide(Isa::plain, relative_bias_plain) &&
                      relative_bias_backward_kernel.provide(Isa::plain, relative_bias_backward_plain);

}  // namespace
}  // namespace lathe
