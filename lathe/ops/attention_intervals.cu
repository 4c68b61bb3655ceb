#include "lathe/ops/attention_intervals_kernel.cuh"

namespace lathe {

SequenceLayout layout_of(const AttentionInput& in) {
  SequenceLayout layout{};
  layout.query_offsets = on_device<const int>(in.query_offsets);
  layout.memory_offsets = on_device<const int>(in.memory_offsets);
  layout.memory_lengths = on_device<const int>(in.memory_lengths);
  layout.sequences = int(in.sequences());
  layout.tokens = int(in.q.shape()[0]), layout.memory_tokens = int(in.kv.shape()[0]);
  layout.window = int(std::min<int64_t>(in.spec.window, 1 << 30)), layout.causal = in.spec.causal;
  return layout;
}

Intervals find_intervals(const AttentionInput& in, Tensor& workspace) {
  SequenceLayout layout = layout_of(in);
  int query_tiles = int(padded(layout.tokens, kIntervalTile) / kIntervalTile);
  int key_tiles = in.memory_lengths ? 0 : int(padded(layout.memory_tokens, kIntervalTile) / kIntervalTile);
  Intervals to{};
  to.rows = on_device<SeenKeys>(workspace);
  to.tiles = reinterpret_cast<SeenByTile*>(to.rows + query_tiles * kIntervalTile);
  to.keys = key_tiles ? reinterpret_cast<SeeingQueries*>(to.tiles + query_tiles) : nullptr;
  to.taken = reinterpret_cast<int*>(reinterpret_cast<SeeingQueries*>(to.tiles + query_tiles) + key_tiles);
  interval_kernel<<<unsigned(query_tiles + key_tiles), unsigned(kIntervalTile), 0, stream_of(workspace)>>>(layout, to,
                                                                                                           query_tiles);
  check_launch("attention intervals");
  return to;
}

}  // namespace lathe
