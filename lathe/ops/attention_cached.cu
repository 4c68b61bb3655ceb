#include "lathe/ops/attention_decode.cuh"
#include "lathe/ops/attention_launch.cuh"
#include "lathe/tensor/dependent.cuh"

namespace lathe {
namespace {

template <int dim, bool shaped>
void decode(const AttentionInput& in, Tensor& out, Tensor& workspace) {
  constexpr int bytes = DecodeShared<dim>::kBytes;
  auto kernel = attention_decode<dim, shaped>;
  allow_shared(reinterpret_cast<const void*>(kernel), bytes);
  AttentionView<bf16> view = view_of<bf16>(in, {});
  DecodeParts parts{on_device<float>(workspace), int(decode_splits(in))};
  dim3 grid(unsigned(parts.splits), unsigned(in.spec.kv_heads), unsigned(in.sequences()));
  launch_early(kernel, {grid, kDecodeWarps<dim> * 32, stream_of(out), bytes}, "attention_cached", view, layout_of(in),
               parts, on_device<bf16>(out));
  if (parts.splits == 1) return;
  int64_t rows = int64_t(view.tokens) * view.heads;
  launch_early(combine_splits<dim>, {unsigned(rows), dim, stream_of(out)}, "attention_cached combine", parts, rows,
               on_device<bf16>(out));
}

void attention_cached_cuda(const AttentionInput& in, Tensor& out, Tensor& workspace) {
  if (out.elements() == 0) return;
  bool decoded = packs_fit(8, in.spec.head_dim, {&out}) && visit_tiles(in, [&]<int dim>() {
                   (has_shape(in.spec) ? decode<dim, true> : decode<dim, false>)(in, out, workspace);
                 });
  if (decoded) return;
  Tensor none;
  attention_forward_cuda(in, out, none, workspace);
}

const bool provided = attention_cached_kernel.provide(Backend::cuda, attention_cached_cuda);

}  // namespace
}  // namespace lathe
