#include "lathe/ops/alibi.h"

#include <bit>
#include <cmath>

#include "lathe/base/error.h"

namespace lathe {

double alibi_slope(int64_t head, int64_t heads) {
  auto power = int64_t(std::bit_floor(uint64_t(heads)));
  if (head < power) return std::exp2(-8.0 * double(head + 1) / double(power));
  return std::exp2(-8.0 * double(2 * (head - power) + 1) / double(2 * power));
}

Tensor alibi(int64_t all_heads, int64_t first_head, int64_t heads, int64_t distances, float factor) {
  require(heads > 0 && first_head >= 0 && first_head + heads <= all_heads && distances > 0, "alibi: heads [",
          first_head, ", ", first_head + heads, ") of ", all_heads, ", ", distances, " distances");
  Tensor bias = Tensor::empty({heads, distances});
  alibi_kernel({bias.elements(), bias.bytes()}, all_heads, first_head, factor, bias);
  return bias;
}

namespace {

void alibi_plain(int64_t all_heads, int64_t first_head, float factor, Tensor& bias) {
  int64_t heads = bias.shape()[0], distances = bias.shape()[1];
  for (int64_t i = 0; i < heads; ++i) {
    float slope = float(alibi_slope(first_head + i, all_heads)) * factor;
    float* row = bias.data<float>() + i * distances;
    for (int64_t d = 0; d < distances; ++d) row[d] = slope * float(d - (distances - 1));
  }
}

const bool provided = alibi_kernel.provide(Isa::plain, alibi_plain);

}  // namespace
}  // namespace lathe
