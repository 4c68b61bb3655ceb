#include "lathe/ops/attention_cudnn.cuh"
#include "lathe/ops/attention_launch.cuh"

namespace lathe {
namespace {

template <int dim, bool shaped>
void forward_tiles(const AttentionView<bf16>& view, Tensor& out, Tensor& logsumexp) {
  constexpr int bytes = ForwardShared<dim>::kBytes;
  auto kernel = attention_forward_tiles<dim, shaped>;
  allow_shared(reinterpret_cast<const void*>(kernel), bytes);
  dim3 grid(tiles_of(view.tokens, kTileQueries), unsigned(view.heads));
  kernel<<<grid, kTileThreads, bytes, stream_of(out)>>>(view, on_device<bf16>(out), on_device<float>(logsumexp));
}

template <class T>
void forward_elements(const AttentionView<T>& view, Tensor& out, Tensor& logsumexp) {
  int64_t dim = view.dim + 1;
  auto [tile, bytes] = fitting_tile(view.dim, [&](int64_t queries, int64_t keys) {
    return (2 * queries + keys) * dim + queries * (keys + 1) + 3 * queries;
  });
  auto kernel = attention_forward_elements<T>;
  allow_shared(reinterpret_cast<const void*>(kernel), bytes);
  dim3 grid(tiles_of(view.tokens, tile.queries), unsigned(view.heads));
  kernel<<<grid, kElementThreads, size_t(bytes), stream_of(out)>>>(view, tile, on_device<T>(out),
                                                                   on_device<float>(logsumexp));
}

}  // namespace

/// cuDNN 9.14 is slower with heads of 128 than the kernels for warpgroups, and up to 12 % faster with heads of 64
/// (bench/gpu_attention.py on an H200).
void attention_forward_cuda(const AttentionInput& in, Tensor& out, Tensor& logsumexp, Tensor& workspace) {
  if (out.elements() == 0) return;
  bool own = has_groups(in) && in.spec.head_dim == 128;
  if (!own && cudnn_forward(in, out, logsumexp, workspace)) return;
  Intervals intervals = find_intervals(in, workspace);
  if (has_groups(in)) return forward_groups(in, intervals, out, logsumexp);
  bool tiled = visit_tiles(in, [&]<int dim>() {
    auto launch = has_shape(in.spec) ? forward_tiles<dim, true> : forward_tiles<dim, false>;
    launch(view_of<bf16>(in, intervals), out, logsumexp);
  });
  if (!tiled)
    visit_device(out.dtype(),
                 [&]<class T>(Element<T>) { forward_elements<T>(view_of<T>(in, intervals), out, logsumexp); });
  check_launch("attention");
}

namespace {

const bool provided = attention_kernel.provide(Backend::cuda, attention_forward_cuda);

}  // namespace
}  // namespace lathe
