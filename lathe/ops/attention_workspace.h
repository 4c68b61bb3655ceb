#pragma once

#include "lathe/ops/attention_kernels.h"

namespace lathe {

/// How the CUDA kernels cut their work, and the workspace that follows from it: functions of shapes alone, so that a
/// plan knows them without a GPU. Floats are of f32 tensors [1, floats], which also hold intervals (two's complement).
constexpr int64_t kIntervalTile = 64;     ///< queries, or keys, that share one entry of the intervals
constexpr int64_t kMostBiasParts = 64;    ///< blocks a head whose bias gradients are summed
constexpr int64_t kDecodeBlocks = 264;    ///< blocks that fill a large GPU: two for each of 132 multiprocessors
constexpr int64_t kKeysOfOneBlock = 512;  ///< decoding splits longer caches over blocks

/// Of find_intervals(): what each query sees, and a counter.
int64_t interval_floats(const AttentionInput& in);
/// Whether kernels for warpgroups do this, on a GPU that has warpgroups.
bool fits_groups(const AttentionInput& in);
/// Where parts of the workspace of their backward begin, at multiples of 128 bytes behind the intervals: statistics of
/// queries, walks over them and their order, turns at adding their gradients, and the sums, f32, of those. Tiles are of
/// queries.
struct GroupFloats {
  int64_t tiles, statistics, walks, order, turns, sums, all;
};
GroupFloats group_floats(const AttentionInput& in);
/// Of attention_backward_kernel: that of fits_groups(); of others intervals, and a float for each query and head.
int64_t cuda_backward_floats(const AttentionInput& in);
/// First extent of bias_parts.
int64_t cuda_bias_parts(const AttentionInput& in);

/// Whether new tokens are few enough for attention_cached_kernel to do all sequences; attention_kernel does them else.
bool decodes(const AttentionInput& in);
/// Blocks that share the keys of a sequence when decoding.
int64_t decode_splits(const AttentionInput& in);
/// Whether attention_step_kernel does this: each sequence has one new token, and there are tiles for its heads.
bool steps_at_once(const Tensor& qkv, int64_t sequences, const AttentionSpec& spec);
/// Of attention to a cache. Grows with tokens and sequences, so that the largest step bounds every other.
int64_t cuda_cached_floats(const AttentionInput& in);

}  // namespace lathe
