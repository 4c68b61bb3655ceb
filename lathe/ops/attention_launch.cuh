#pragma once
// What the launches of attention share: which kernel fits, and how much shared memory it takes.

#include "lathe/base/error.h"
#include "lathe/ops/attention_elements.cuh"

namespace lathe {

inline unsigned tiles_of(int64_t count, int64_t each) { return unsigned((count + each - 1) / each); }

/// Calls `visitor.template operator()<dim>()` when there are tiles for this head size and these tensors; true then.
template <class Visitor>
bool visit_tiles(const AttentionInput& in, Visitor&& visitor) {
  if (in.q.dtype() != DType::bf16 || !packs_fit(8, in.spec.head_dim, {&in.q, &in.kv})) return false;
  switch (in.spec.head_dim) {
    case 64:
      visitor.template operator()<64>();
      return true;
    case 80:
      visitor.template operator()<80>();
      return true;
    case 96:
      visitor.template operator()<96>();
      return true;
    case 128:
      visitor.template operator()<128>();
      return true;
    case 256:
      visitor.template operator()<256>();
      return true;
    default:
      return false;
  }
}

/// Attention over tiles, of all sequences.
void attention_forward_cuda(const AttentionInput& in, Tensor& out, Tensor& logsumexp, Tensor& workspace);

/// Whether there are kernels for warpgroups that do this; attention by them; its gradients without dbias, for which the
/// view's delta is not needed.
bool has_groups(const AttentionInput& in);
void forward_groups(const AttentionInput& in, const Intervals& intervals, Tensor& out, Tensor& logsumexp);
void backward_groups(const AttentionInput& in, const Tensor& out, const BackwardView<bf16>& view, Tensor& workspace);

/// Whether scores are more than scaled dot products.
inline bool has_shape(const AttentionSpec& spec) { return spec.softcap > 0 || spec.bias; }

/// The largest tile of elements whose floats, as `floats_of` counts them, fit into shared memory; and its bytes.
struct FittingTile {
  ElementTile tile;
  int bytes;
};
template <class Count>
FittingTile fitting_tile(int64_t dim, Count&& floats_of) {
  for (ElementTile tile : {ElementTile{16, 32}, {8, 16}, {4, 8}}) {
    int64_t bytes = floats_of(int64_t(tile.queries), int64_t(tile.keys)) * int64_t(sizeof(float));
    if (bytes <= kMostShared) return {tile, int(bytes)};
  }
  throw Error(text("attention: heads of ", dim, " are too large for the GPU's shared memory"));
}

}  // namespace lathe
