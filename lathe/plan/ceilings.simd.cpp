// Multiply-adds in registers: twelve chains, more than the latency of any processor's two units needs.
#include <immintrin.h>

#include "lathe/plan/ceilings.h"

namespace lathe::LATHE_ISA {
namespace {

#ifdef LATHE_ISA_avx512
constexpr Isa kIsa = Isa::avx512;
constexpr int kLanes = 16;
#else
constexpr Isa kIsa = Isa::avx2;
constexpr int kLanes = 8;
#endif
constexpr int kChains = 12;
typedef float Vector __attribute__((vector_size(kLanes * 4), aligned(4)));

template <bool pairs>
Vector step(Vector sum, Vector a, Vector b) {
#ifdef LATHE_ISA_avx512
  if constexpr (pairs) return Vector(_mm512_dpbf16_ps(__m512(sum), __m512bh(a), __m512bh(b)));
#endif
  return sum * a + b;
}

template <bool pairs>
void chains(int64_t rounds, float* values) {
  const Vector a = Vector{} + 0.5f, b = Vector{} + 1e-3f;
  Vector sums[kChains];
#pragma GCC unroll 16
  for (int c = 0; c < kChains; ++c) sums[c] = *reinterpret_cast<Vector*>(values + c * kLanes);
  for (int64_t round = 0; round < rounds; ++round)
#pragma GCC unroll 16
    for (int c = 0; c < kChains; ++c) sums[c] = step<pairs>(sums[c], a, b);
#pragma GCC unroll 16
  for (int c = 0; c < kChains; ++c) *reinterpret_cast<Vector*>(values + c * kLanes) = sums[c];
}

void peak(int64_t rounds, bool pairs, Tensor& values) {
  for (int64_t i = 0; i < kPeakLanes; i += kChains * kLanes)
    pairs ? chains<true>(rounds, values.data<float>() + i) : chains<false>(rounds, values.data<float>() + i);
}

const bool provided = peak_kernel.provide(kIsa, peak);

}  // namespace
}  // namespace lathe::LATHE_ISA
