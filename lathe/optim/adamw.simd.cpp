// AdamW in one pass over memory: 28 bytes a weight, 30 with bf16 values.
#include <cmath>

#include "lathe/optim/adamw_kernel.h"

namespace lathe::LATHE_ISA {
namespace {

void update(const float* gradient, const UpdateValues& u, const AdamWRule& rule, float* kept, float* first,
            float* second, int64_t count) {
  const float clip = u.clip, beta1 = rule.beta1, beta2 = rule.beta2, step_size = u.step_size;
  const float scale = u.second_scale, epsilon = rule.epsilon, keep = 1 - u.learning_rate * rule.decay;
#pragma omp simd
  for (int64_t i = 0; i < count; ++i) {
    float g = gradient[i] * clip;
    float m = first[i] + (1 - beta1) * (g - first[i]);
    float v = beta2 * second[i] + (1 - beta2) * (g * g);
    first[i] = m;
    second[i] = v;
    kept[i] = keep * kept[i] - step_size * m / (std::sqrt(v) * scale + epsilon);
  }
}

void round_to_bf16(const float* kept, BF16* value, int64_t count) {
  const auto* from = reinterpret_cast<const uint32_t*>(kept);
  auto* to = reinterpret_cast<uint16_t*>(value);
#pragma omp simd
  for (int64_t i = 0; i < count; ++i)  // never NaN: what is not finite is not applied
    to[i] = uint16_t((from[i] + 0x7fffu + ((from[i] >> 16) & 1u)) >> 16);
}

void update_part(const AdamWPart& part, const UpdateValues& u) {
  int64_t n = part.kept.elements();
  const float* g = part.gradient.data<float>();
  float *w = part.kept.data<float>(), *m = part.first.data<float>(), *v = part.second.data<float>();
  BF16* rounded = part.value ? part.value.data<BF16>() : nullptr;
#pragma omp parallel for schedule(static) if (n > kAdamWChunk)
  for (int64_t begin = 0; begin < n; begin += kAdamWChunk) {
    int64_t count = n - begin < kAdamWChunk ? n - begin : kAdamWChunk;
    update(g + begin, u, part.rule, w + begin, m + begin, v + begin, count);
    if (rounded) round_to_bf16(w + begin, rounded + begin, count);
  }
}

void adamw(std::span<const AdamWPart> parts, const Tensor& state, Tensor&) {
  const UpdateValues& u = *state.data<UpdateValues>();
  if (u.applied == 0) return;
  for (const AdamWPart& part : parts) update_part(part, u);
}

#ifdef LATHE_ISA_avx512
const bool provided = adamw_kernel.provide(Isa::avx512, adamw);
#else
const bool provided = adamw_kernel.provide(Isa::avx2, adamw);
#endif

}  // namespace
}  // namespace lathe::LATHE_ISA
