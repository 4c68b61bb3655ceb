#include "lathe/ops/attention_launch.cuh"

namespace lathe {
namespace {

/// The tensors of a backward pass.
struct BackwardCall {
  const AttentionInput& in;
  const Tensor &out, &logsumexp, &dout;
  Tensor &dq, &dkv, &dbias, &bias_parts, &workspace;

  cudaStream_t stream() const { return stream_of(dq); }
  int64_t tokens() const { return in.q.shape()[0]; }

  template <class T>
  BackwardView<T> view(const Intervals& intervals) const {
    AttentionRows rows(in);
    T* keys = on_device<T>(dkv);
    const float* delta = on_device<float>(workspace) + interval_floats(in);
    return {
        view_of<T>(in, intervals), on_device<const T>(dout), on_device<const float>(logsumexp), delta, on_device<T>(dq),
        keys + rows.first_key,     keys + rows.first_value};
  }
};

template <class T>
void launch_delta(const BackwardCall& call, const BackwardView<T>& view) {
  constexpr int kPack = 16 / int(sizeof(T));
  bool packs = packs_fit(kPack, view.in.dim, {&call.out, &call.dout});
  int lanes = 32, each = packs ? kPack : 1;
  while (lanes > 1 && lanes / 2 * each >= view.in.dim) lanes /= 2;
  int64_t threads = call.tokens() * view.in.heads * lanes;
  auto kernel = packs ? delta_kernel<kPack, T> : delta_kernel<1, T>;
  kernel<<<tiles_of(threads, kThreads), kThreads, 0, call.stream()>>>(on_device<const T>(call.out), view.dout, lanes,
                                                                      view.in.tokens, view.in.heads, view.in.dim,
                                                                      const_cast<float*>(view.delta));
  check_launch("attention delta");
}

template <int dim, bool shaped>
void key_tiles(const BackwardCall& call, const BackwardView<bf16>& view) {
  constexpr int bytes = KeySideShared<dim>::kBytes;
  auto kernel = attention_key_gradients<dim, shaped>;
  allow_shared(reinterpret_cast<const void*>(kernel), bytes);
  dim3 grid(tiles_of(view.in.memory_tokens, kKeyTileRows), unsigned(view.in.heads / view.in.group));
  kernel<<<grid, kKeyThreads<dim>, bytes, call.stream()>>>(view);
  check_launch("attention key gradients");
}

template <int dim, bool shaped, bool biased>
void query_tiles(const BackwardCall& call, const BackwardView<bf16>& view) {
  constexpr int bytes = biased ? QuerySideShared<dim>::kBiasBytes : QuerySideShared<dim>::kBytes;
  auto kernel = attention_query_gradients<dim, shaped, biased>;
  allow_shared(reinterpret_cast<const void*>(kernel), bytes);
  unsigned tiles = tiles_of(view.in.tokens, kTileQueries);
  dim3 grid(biased ? unsigned(call.bias_parts.shape()[0]) : tiles, unsigned(view.in.heads));
  kernel<<<grid, kTileThreads, bytes, call.stream()>>>(view, int(tiles), on_device<float>(call.bias_parts));
  check_launch("attention query gradients");
}

template <int dim>
void backward_tiles(const BackwardCall& call, const BackwardView<bf16>& view) {
  bool shaped = has_shape(call.in.spec);
  (shaped ? key_tiles<dim, true> : key_tiles<dim, false>)(call, view);
  (call.dbias ? query_tiles<dim, true, true>
   : shaped   ? query_tiles<dim, true, false>
              : query_tiles<dim, false, false>)(call, view);
}

template <class T>
void key_elements(const BackwardCall& call, const BackwardView<T>& view) {
  int64_t dim = view.in.dim + 1;
  auto [tile, bytes] = fitting_tile(view.in.dim, [&](int64_t queries, int64_t keys) {
    return (4 * keys + 2 * queries) * dim + 3 * queries * (keys + 1);
  });
  auto kernel = attention_key_gradients_elements<T>;
  allow_shared(reinterpret_cast<const void*>(kernel), bytes);
  dim3 grid(tiles_of(view.in.memory_tokens, tile.keys), unsigned(view.in.heads / view.in.group));
  kernel<<<grid, kElementThreads, size_t(bytes), call.stream()>>>(view, tile);
  check_launch("attention key gradients");
}

template <class T>
void query_elements(const BackwardCall& call, const BackwardView<T>& view) {
  int64_t dim = view.in.dim + 1;
  auto [tile, bytes] = fitting_tile(view.in.dim, [&](int64_t queries, int64_t keys) {
    return (3 * queries + 2 * keys) * dim + 2 * queries * (keys + 1) + BiasTile::bytes(int(queries), int(keys)) / 4;
  });
  auto kernel = attention_query_gradients_elements<T>;
  allow_shared(reinterpret_cast<const void*>(kernel), bytes);
  unsigned tiles = tiles_of(view.in.tokens, tile.queries);
  dim3 grid(call.dbias ? unsigned(call.bias_parts.shape()[0]) : tiles, unsigned(view.in.heads));
  kernel<<<grid, kElementThreads, size_t(bytes), call.stream()>>>(view, tile, int(tiles),
                                                                  on_device<float>(call.bias_parts));
  check_launch("attention query gradients");
}

/// dbias[i] = the sum of parts[n][i], in order.
__global__ void sum_parts(const float* parts, int count, int64_t elements, float* dbias) {
  int64_t i = blockIdx.x * int64_t(blockDim.x) + threadIdx.x;
  if (i >= elements) return;
  float sum = 0;
  for (int n = 0; n < count; ++n) sum += parts[n * elements + i];
  dbias[i] = sum;
}

/// Where nobody sees anything.
void clear_gradients(Tensor& dq, Tensor& dkv, Tensor& dbias) {
  for (Tensor* gradient : {&dq, &dkv, &dbias})
    if (*gradient && gradient->elements() > 0)
      check_cuda(cudaMemsetAsync(gradient->data<std::byte>(), 0, size_t(gradient->bytes()), stream_of(*gradient)),
                 "attention gradients");
}

void attention_backward_cuda(const AttentionInput& in, const Tensor& out, const Tensor& logsumexp, const Tensor& dout,
                             Tensor& dq, Tensor& dkv, Tensor& dbias, Tensor& bias_parts, Tensor& workspace) {
  if (out.elements() == 0 || in.kv.elements() == 0) return clear_gradients(dq, dkv, dbias);
  BackwardCall call{in, out, logsumexp, dout, dq, dkv, dbias, bias_parts, workspace};
  Intervals intervals = find_intervals(in, workspace);
  bool packs = packs_fit(8, in.spec.head_dim, {&out, &dout, &dq, &dkv});
  if (packs && has_groups(in)) return backward_groups(in, out, call.view<bf16>(intervals), workspace);
  visit_device(dq.dtype(), [&]<class T>(Element<T>) { launch_delta(call, call.view<T>(intervals)); });
  bool done = packs && visit_tiles(in, [&]<int dim>() { backward_tiles<dim>(call, call.view<bf16>(intervals)); });
  if (!done)
    visit_device(dq.dtype(), [&]<class T>(Element<T>) {
      key_elements<T>(call, call.view<T>(intervals));
      query_elements<T>(call, call.view<T>(intervals));
    });
  if (!dbias) return;
  sum_parts<<<tiles_of(dbias.elements(), kThreads), kThreads, 0, call.stream()>>>(
      on_device<const float>(bias_parts), int(bias_parts.shape()[0]), dbias.elements(), on_device<float>(dbias));
  check_launch("attention bias gradients");
}

const bool provided = attention_backward_kernel.provide(Backend::cuda, attention_backward_cuda);

}  // namespace
}  // namespace lathe
