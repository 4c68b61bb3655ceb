#include "lathe/ops/attention_backward_groups.cuh"
#include "lathe/ops/attention_forward_groups.cuh"
#include "lathe/ops/attention_launch.cuh"

namespace lathe {
namespace {

constexpr int64_t kCachedBytes = 32 << 20;  ///< of keys and values, that stay in the L2 cache of 50 MB beside the rest

#ifdef LATHE_SM_90A
constexpr bool kBuiltForGroups = true;
#else
constexpr bool kBuiltForGroups = false;
#endif

int attribute(cudaDeviceAttr which) {
  int value = 0;
  check_cuda(cudaDeviceGetAttribute(&value, which, 0), "asking for the device's properties");
  return value;
}

int multiprocessors() {
  static const int count = attribute(cudaDevAttrMultiProcessorCount);
  return count;
}

bool device_has_groups() {
  static const bool has = attribute(cudaDevAttrComputeCapabilityMajor) == 9;
  return has;
}

GroupGrid grid_of(int64_t rows, int64_t heads, int64_t head_bytes) {
  int64_t at_once = std::clamp<int64_t>(kCachedBytes / head_bytes, 1, heads);
  return {int(tiles_of(rows, kGroupRows)), int(heads), int(at_once)};
}

template <int dim>
void launch_forward(const AttentionView<bf16>& view, Tensor& out, Tensor& logsumexp) {
  constexpr int bytes = GroupForwardShared<dim>::kBytes;
  auto kernel = attention_forward_groups<dim>;
  allow_shared(reinterpret_cast<const void*>(kernel), bytes);
  int64_t head_bytes = int64_t(view.memory_tokens) * dim * 4 / view.group;
  GroupGrid grid = grid_of(view.tokens, view.heads, head_bytes);
  unsigned blocks = unsigned(std::min(grid.tiles * grid.heads, multiprocessors()));
  kernel<<<blocks, kGroupThreads, bytes, stream_of(out)>>>(view, grid, on_device<bf16>(out),
                                                           on_device<float>(logsumexp));
  check_launch("attention forward groups");
}

template <int dim, Gradients which>
void launch_gradients(const BackwardView<bf16>& view, cudaStream_t stream) {
  constexpr int bytes = GroupBackwardShared<dim>::kBytes;
  const AttentionView<bf16>& in = view.in;
  auto kernel = attention_backward_groups<dim, which>;
  allow_shared(reinterpret_cast<const void*>(kernel), bytes);
  GroupGrid keys = grid_of(in.memory_tokens, in.heads / in.group, int64_t(in.tokens) * dim * 4 * in.group);
  GroupGrid queries = grid_of(in.tokens, in.heads, int64_t(in.memory_tokens) * dim * 4 / in.group);
  int pieces = which == Gradients::of_queries ? 0 : keys.tiles * keys.heads;
  if (which != Gradients::of_keys) pieces += queries.tiles * queries.heads;
  kernel<<<unsigned(std::min(pieces, multiprocessors())), kGroupThreads, bytes, stream>>>(view, keys, queries);
  check_launch("attention backward groups");
}

/// Of heads of 128 the sums of keys leave products no registers to overlap, and would slow down those of queries too.
template <int dim>
void launch_backward(const BackwardView<bf16>& view, cudaStream_t stream) {
  if constexpr (dim == 64) {
    launch_gradients<dim, Gradients::of_all>(view, stream);
  } else {
    launch_gradients<dim, Gradients::of_keys>(view, stream);
    launch_gradients<dim, Gradients::of_queries>(view, stream);
  }
}

}  // namespace

bool has_groups(const AttentionInput& in) {
  if (!kBuiltForGroups || !device_has_groups()) return false;
  bool fits = in.q.dtype() == DType::bf16 && packs_fit(8, in.spec.head_dim, {&in.q, &in.kv});
  bool plain = !has_shape(in.spec) && !in.memory_lengths && in.spec.scale > 0;
  return fits && plain && (in.spec.head_dim == 64 || in.spec.head_dim == 128);
}

void forward_groups(const AttentionInput& in, const Intervals& intervals, Tensor& out, Tensor& logsumexp) {
  AttentionView<bf16> view = view_of<bf16>(in, intervals);
  if (in.spec.head_dim == 64)
    launch_forward<64>(view, out, logsumexp);
  else
    launch_forward<128>(view, out, logsumexp);
}

void backward_groups(const AttentionInput& in, const BackwardView<bf16>& view, Tensor& dq) {
  if (in.spec.head_dim == 64)
    launch_backward<64>(view, stream_of(dq));
  else
    launch_backward<128>(view, stream_of(dq));
}

}  // namespace lathe
