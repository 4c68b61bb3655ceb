#include "lathe/ops/attention_decode.cuh"
#include "lathe/ops/attention_launch.cuh"
#include "lathe/ops/attention_step.h"

namespace lathe {
namespace {

/// What attention_decode() takes besides workspace and output.
struct Decoding {
  AttentionView<bf16> view;
  SequenceLayout layout;
  int splits;
  NewTokens fresh{};
  PairTurns turns{};
};

template <int dim, bool shaped>
void decode(const Decoding& what, Tensor& out, Tensor& workspace) {
  constexpr int bytes = DecodeShared<dim>::kBytes;
  auto kernel = attention_decode<dim, shaped>;
  allow_shared(reinterpret_cast<const void*>(kernel), bytes);
  const AttentionView<bf16>& view = what.view;
  DecodeParts parts{on_device<float>(workspace), what.splits};
  dim3 grid(unsigned(parts.splits), unsigned(view.heads / view.group), unsigned(what.layout.sequences));
  launch_early(kernel, {grid, kDecodeWarps<dim> * 32, stream_of(out), bytes}, "attention_cached", view, what.layout,
               parts, what.fresh, what.turns, on_device<bf16>(out));
  if (parts.splits == 1) return;
  int64_t rows = int64_t(view.tokens) * view.heads;
  launch_early(combine_splits<dim>, {unsigned(rows), dim, stream_of(out)}, "attention_cached combine", parts, rows,
               on_device<bf16>(out));
}

/// False where no kernel has these heads.
bool decode(const AttentionInput& in, const Decoding& what, Tensor& out, Tensor& workspace) {
  return packs_fit(8, in.spec.head_dim, {&out}) && visit_tiles(in, [&]<int dim>() {
           (has_shape(in.spec) ? decode<dim, true> : decode<dim, false>)(what, out, workspace);
         });
}

void attention_cached_cuda(const AttentionInput& in, Tensor& out, Tensor& workspace) {
  if (out.elements() == 0) return;
  if (decode(in, {view_of<bf16>(in, {}), layout_of(in), int(decode_splits(in))}, out, workspace)) return;
  Tensor none;
  attention_forward_cuda(in, out, none, workspace);
}

void attention_step_cuda(const AttentionInput& in, const Tensor& qkv, const Tensor& positions, Tensor& cache,
                         Tensor& out, Tensor& workspace) {
  if (out.elements() == 0) return;
  Decoding what{view_of<bf16>(in, {}), layout_of(in), int(decode_splits(in))};
  what.view.q = on_device<const bf16>(qkv);
  what.view.query_row = qkv.shape()[1] * qkv.shape()[2];
  what.fresh = {what.view.q, on_device<const int32_t>(positions), on_device<bf16>(cache), form_of(in.spec.rotary)};
  what.turns = turns_of(in.spec.rotary);
  if (!decode(in, what, out, workspace)) throw InternalError("a step of attention without a kernel");
}

const bool provided = attention_cached_kernel.provide(Backend::cuda, attention_cached_cuda) &&
                      attention_step_kernel.provide(Backend::cuda, attention_step_cuda);

}  // namespace
}  // namespace lathe
