#include "lathe/optim/adamw_kernel.h"
#include "lathe/optim/part_list.cuh"
#include "lathe/tensor/elements.cuh"
#include "lathe/tensor/launch.cuh"

namespace lathe {
namespace {

constexpr int kPack = 4;  // floats that a thread loads at once
constexpr int64_t kChunk = kThreads * kPack * 4;

/// AdamWPart on the device.
struct Part {
  const float* gradient;
  float *kept, *first, *second;
  __nv_bfloat16* value;
  int64_t count;
  AdamWRule rule;
  bool packs;
};
using List = PartList<Part, 400, kChunk>;
static_assert(sizeof(List) + sizeof(void*) <= kMostArgumentBytes);

template <int size>
__device__ void update_pack(const Part& part, const UpdateValues& u, int64_t at) {
  float g[size], m[size], v[size], w[size];
  load(part.gradient + at, g);
  load(part.first + at, m);
  load(part.second + at, v);
  load(part.kept + at, w);
  float keep = 1 - u.learning_rate * part.rule.decay;
#pragma unroll
  for (int i = 0; i < size; ++i) {
    float gradient = g[i] * u.clip;
    m[i] += (1 - part.rule.beta1) * (gradient - m[i]);
    v[i] = part.rule.beta2 * v[i] + (1 - part.rule.beta2) * (gradient * gradient);
    w[i] = keep * w[i] - u.step_size * m[i] / (sqrtf(v[i]) * u.second_scale + part.rule.epsilon);
  }
  store(m, part.first + at);
  store(v, part.second + at);
  store(w, part.kept + at);
  if (part.value) store(w, part.value + at);
}

/// A block a chunk; its threads take neighbouring packs.
__global__ void __launch_bounds__(kThreads)
    update_parts(const __grid_constant__ List list, const UpdateValues* update) {
  UpdateValues u = *update;
  if (u.applied == 0) return;
  int index = list.part_of(blockIdx.x);
  const Part& part = list.parts[index];
  int64_t begin = int64_t(blockIdx.x - list.first_block[index]) * kChunk;
  int64_t end = min(begin + kChunk, part.count), rest = part.packs ? end / kPack * kPack : begin;
  for (int64_t at = begin + int(threadIdx.x) * kPack; at < rest; at += kThreads * kPack)
    update_pack<kPack>(part, u, at);
  for (int64_t at = rest + threadIdx.x; at < end; at += kThreads) update_pack<1>(part, u, at);
}

Part on_device(const AdamWPart& part) {
  return {on_device<const float>(part.gradient),
          on_device<float>(part.kept),
          on_device<float>(part.first),
          on_device<float>(part.second),
          on_device<__nv_bfloat16>(part.value),
          part.kept.elements(),
          part.rule,
          packs_fit(kPack, kPack, {&part.gradient, &part.kept, &part.first, &part.second, &part.value})};
}

void launch(const List& list, const Tensor& update, cudaStream_t stream) {
  if (list.blocks == 0) return;
  update_parts<<<list.blocks, kThreads, 0, stream>>>(list, on_device<const UpdateValues>(update));
  check_launch("adamw");
}

void adamw_cuda(std::span<const AdamWPart> parts, const Tensor& update, Tensor& kept) {
  List list;
  for (const AdamWPart& part : parts) {
    if (list.add(on_device(part))) continue;
    launch(list, update, stream_of(kept));
    list.size = 0, list.blocks = 0;
    list.add(on_device(part));
  }
  launch(list, update, stream_of(kept));
}

const bool provided = adamw_kernel.provide(Backend::cuda, adamw_cuda);

}  // namespace
}  // namespace lathe
