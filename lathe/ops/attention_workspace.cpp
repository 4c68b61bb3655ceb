#include "lathe/ops/attention_workspace.h"

#include <array>
#include <utility>

namespace lathe {
namespace {

int64_t blocks_of(int64_t count, int64_t each) { return (count + each - 1) / each; }

}  // namespace

int64_t interval_floats(const AttentionInput& in) {
  int64_t query_tiles = blocks_of(in.q.shape()[0], kIntervalTile),
          key_tiles = blocks_of(in.kv.shape()[0], kIntervalTile);
  return query_tiles * (4 * kIntervalTile + 4) + (in.memory_lengths ? 0 : 2 * key_tiles) + 1;
}

bool fits_groups(const AttentionInput& in) {
  const AttentionSpec& spec = in.spec;
  bool plain = spec.softcap == 0 && !spec.bias && !in.memory_lengths && spec.scale > 0;
  return plain && in.q.dtype() == DType::bf16 && (spec.head_dim == 64 || spec.head_dim == 128);
}

GroupFloats group_floats(const AttentionInput& in) {
  constexpr int64_t kAligned = 32, kRows = 128;
  int64_t queries = in.spec.head_dim == 64 ? 128 : 64, tiles = blocks_of(in.q.shape()[0], queries);
  GroupFloats floats{};
  floats.tiles = tiles;
  floats.all = padded(interval_floats(in), kAligned);
  auto part = [&](int64_t count) { return std::exchange(floats.all, floats.all + padded(count, kAligned)); };
  floats.statistics = part(2 * in.spec.heads * tiles * queries);
  floats.walks = part(2 * blocks_of(in.kv.shape()[0], kRows));
  floats.order = part(4 * blocks_of(in.kv.shape()[0], kRows));
  floats.turns = part(2 * in.spec.heads * tiles);
  floats.sums = part(in.spec.heads * tiles * queries * in.spec.head_dim);
  return floats;
}

int64_t cuda_backward_floats(const AttentionInput& in) {
  return fits_groups(in) ? group_floats(in).all : interval_floats(in) + in.spec.heads * in.q.shape()[0];
}

int64_t cuda_bias_parts(const AttentionInput& in) {
  return std::min(blocks_of(in.q.shape()[0], kIntervalTile), kMostBiasParts);
}

bool decodes(const AttentionInput& in) { return in.q.shape()[0] <= kCachedQueries * in.sequences(); }

bool steps_at_once(const Tensor& qkv, int64_t sequences, const AttentionSpec& spec) {
  constexpr std::array<int64_t, 5> tiled{64, 80, 96, 128, 256};
  bool has_tiles = std::find(tiled.begin(), tiled.end(), spec.head_dim) != tiled.end();
  return qkv.device().backend == Backend::cuda && qkv.dtype() == DType::bf16 && qkv.shape()[0] == sequences &&
         has_tiles && spec.rotary.dims <= spec.head_dim;
}

int64_t decode_splits(const AttentionInput& in) {
  if (in.longest_keys <= kKeysOfOneBlock) return 1;
  int64_t for_all_blocks = blocks_of(kDecodeBlocks, in.sequences() * in.spec.kv_heads);
  return std::min(for_all_blocks, blocks_of(in.longest_keys, kKeysOfOneBlock / 2));
}

int64_t cuda_cached_floats(const AttentionInput& in) {
  if (in.longest_keys <= kKeysOfOneBlock) return interval_floats(in);
  // splits * tokens is no more, as there are at most kCachedQueries tokens a sequence
  int64_t most =
      (blocks_of(kDecodeBlocks, in.spec.kv_heads) + in.sequences()) * std::min(in.q.shape()[0], kCachedQueries);
  return std::max(interval_floats(in), most * in.spec.heads * (in.spec.head_dim + 2));
}

}  // namespace lathe
