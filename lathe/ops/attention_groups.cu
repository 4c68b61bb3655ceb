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

GroupGrid grid_of(int64_t tiles, int64_t heads, int64_t head_bytes) {
  int64_t at_once = std::clamp<int64_t>(kCachedBytes / head_bytes, 1, heads);
  return {int(tiles), int(heads), int(at_once)};
}

template <int dim>
ForwardMaps forward_maps_of(const AttentionView<bf16>& in, Tensor& out) {
  int64_t columns = int64_t(in.heads) * dim, key_columns = columns / in.group;
  return {tiles_of_matrix(in.q, in.tokens, columns, in.query_row, 64),
          tiles_of_matrix(in.k, in.memory_tokens, key_columns, in.key_row, kForwardKeys),
          tiles_of_matrix(in.v, in.memory_tokens, key_columns, in.key_row, kForwardKeys),
          tiles_of_matrix(on_device<bf16>(out), in.tokens, columns, columns, 64)};
}

template <int dim>
void launch_forward(const AttentionView<bf16>& view, Tensor& out, Tensor& logsumexp) {
  constexpr int bytes = int(sizeof(ForwardMemory<dim>)) + kSharedSlack;
  auto kernel = attention_forward_groups<dim>;
  allow_shared(reinterpret_cast<const void*>(kernel), bytes);
  int64_t head_bytes = int64_t(view.memory_tokens) * dim * 4 / view.group;
  GroupGrid grid = grid_of(tiles_of(view.tokens, ForwardShape<dim>::kRows), view.heads, head_bytes);
  unsigned blocks = unsigned(std::min(grid.tiles * grid.heads, multiprocessors()));
  launch_early(kernel, {blocks, ForwardShape<dim>::kThreads, stream_of(out), bytes}, "attention forward groups", view,
               forward_maps_of<dim>(view, out), grid, on_device<float>(logsumexp));
}

/// How many blocks walk the same head, at least: more would wait for each other's sums when they begin.
constexpr int kBlocksOfHead = 8;

/// Chains of tiles of keys that are walked at a time, for each of `heads`: those whose queries, dout and sums the L2
/// cache holds, or of which all blocks have two pieces, so that long and short ones even out. A chain has `longest`
/// tokens, each with `columns` values.
int chains_of_band(int64_t longest, int64_t columns, int64_t heads) {
  int64_t in_cache = kCachedBytes / (longest * columns * 8 * heads);
  int64_t for_blocks = 2 * multiprocessors() / (tiles_of(longest, kGroupRows) * heads);
  return int(std::max<int64_t>({in_cache, for_blocks, 1}));
}

template <int dim>
BackwardMaps backward_maps_of(const BackwardView<bf16>& view) {
  const AttentionView<bf16>& in = view.in;
  constexpr int queries = BackwardSteps<dim>::kQueries;
  int64_t columns = int64_t(in.heads) * dim, key_columns = columns / in.group;
  return {tiles_of_matrix(in.q, in.tokens, columns, in.query_row, queries),
          tiles_of_matrix(in.k, in.memory_tokens, key_columns, in.key_row, kGroupRows),
          tiles_of_matrix(in.v, in.memory_tokens, key_columns, in.key_row, kGroupRows),
          tiles_of_matrix(view.dout, in.tokens, columns, columns, queries),
          tiles_of_matrix(view.dk, in.memory_tokens, key_columns, in.key_row, 64),
          tiles_of_matrix(view.dv, in.memory_tokens, key_columns, in.key_row, 64)};
}

BackwardSums sums_of(const AttentionInput& in, Tensor& workspace) {
  GroupFloats floats = group_floats(in);
  float* all = on_device<float>(workspace);
  return {int(floats.tiles),
          all + floats.statistics,
          reinterpret_cast<int2*>(all + floats.walks),
          reinterpret_cast<int4*>(all + floats.order),
          reinterpret_cast<int*>(all + floats.turns),
          all + floats.sums};
}

template <int dim>
void launch_backward(const BackwardView<bf16>& view, int64_t longest, const bf16* out, const BackwardSums& to,
                     cudaStream_t stream) {
  constexpr int bytes = BackwardShared<dim>::kBytes, queries = BackwardSteps<dim>::kQueries;
  const AttentionView<bf16>& in = view.in;
  unsigned key_tiles = tiles_of(in.memory_tokens, kGroupRows);
  int64_t lanes = int64_t(to.tiles) * queries * in.heads * dim / 8;
  int kv_heads = in.heads / in.group, pieces = int(key_tiles) * kv_heads;
  int at_once = std::clamp(multiprocessors() / kBlocksOfHead, 1, kv_heads);
  unsigned threads = std::min((key_tiles + 31) / 32 * 32, unsigned(kMostOrdered));
  // As usual, behind all that is before: walks and their order are found beside the statistics, which wait for neither.
  attention_walks<dim><<<tiles_of(key_tiles * 32, kThreads), kThreads, 0, stream>>>(view, to, int(key_tiles));
  check_launch("attention walks");
  launch_early(attention_order, {1, threads, stream}, "attention order", to, int(key_tiles),
               chains_of_band(longest, dim * in.group, at_once));
  launch_early(attention_statistics<dim>, {tiles_of(lanes, kThreads), kThreads, stream}, "attention statistics", view,
               out, to);
  auto kernel = attention_backward_groups<dim>;
  allow_shared(reinterpret_cast<const void*>(kernel), bytes);
  GroupGrid grid{int(key_tiles), kv_heads, at_once};
  unsigned blocks = unsigned(std::min(pieces, multiprocessors()));
  launch_early(kernel, {blocks, kGroupThreads, stream, bytes}, "attention backward groups", view,
               backward_maps_of<dim>(view), to, grid);
}

}  // namespace

bool has_groups(const AttentionInput& in) {
  return kBuiltForGroups && fits_groups(in) && device_has_groups() && packs_fit(8, in.spec.head_dim, {&in.q, &in.kv});
}

void forward_groups(const AttentionInput& in, const Intervals& intervals, Tensor& out, Tensor& logsumexp) {
  AttentionView<bf16> view = view_of<bf16>(in, intervals);
  if (in.spec.head_dim == 64)
    launch_forward<64>(view, out, logsumexp);
  else
    launch_forward<128>(view, out, logsumexp);
}

void backward_groups(const AttentionInput& in, const Tensor& out, const BackwardView<bf16>& view, Tensor& workspace) {
  BackwardSums to = sums_of(in, workspace);
  if (in.spec.head_dim == 64)
    launch_backward<64>(view, in.longest_queries, on_device<const bf16>(out), to, stream_of(workspace));
  else
    launch_backward<128>(view, in.longest_queries, on_device<const bf16>(out), to, stream_of(workspace));
}

}  // namespace lathe
