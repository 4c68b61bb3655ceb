#pragma once

#include <vector>

#include "lathe/models/config.h"
#include "lathe/tensor/tensor.h"

namespace lathe {

/// Keys and values of all tokens that a model has seen, for a fixed number of sequences. A sequence's tokens lie in one
/// run of slots; who reads the cache asks for the slot of a token, so that pages can take the place of runs.
class KvCache {
 public:
  /// Takes bytes for `sequences` of up to `length` tokens each, on the current Runtime. A cache of an encoder's memory
  /// has a token for each of the memory's rows.
  KvCache(const ModelConfig& config, DType dtype, int64_t sequences, int64_t length);

  Tensor& layer(int index) { return layers_[size_t(index)]; }  ///< [slots, 2 kv_heads, head_dim]
  int64_t sequences() const { return int64_t(lengths_.size()); }
  int64_t capacity() const { return capacity_; }  ///< tokens a sequence
  int64_t length(int64_t sequence) const { return lengths_[size_t(sequence)]; }
  int64_t first_slot(int64_t sequence) const { return sequence * capacity_; }

  /// Makes room for `tokens` more. Throws InternalError beyond the capacity.
  void append(int64_t sequence, int64_t tokens);
  void clear(int64_t sequence) { truncate(sequence, 0); }
  /// Forgets all but the first `tokens`. Throws InternalError where there are fewer.
  void truncate(int64_t sequence, int64_t tokens);
  /// Makes `to` what `from` is.
  void copy_sequence(int64_t from, int64_t to);

 private:
  int64_t capacity_;
  std::vector<Tensor> layers_;
  std::vector<int64_t> lengths_;
};

}  // namespace lathe
