#include "lathe/infer/kv_cache.h"

#include "lathe/base/error.h"
#include "lathe/tensor/sum.h"

namespace lathe {

KvCache::KvCache(const ModelConfig& config, DType dtype, int64_t sequences, int64_t length)
    : capacity_(length), lengths_(size_t(sequences), 0) {
  PurposeScope scope(Purpose::kv_cache);
  for (int64_t layer = 0; layer < decoding_layers(config); ++layer)
    layers_.push_back(Tensor::empty({sequences * length, 2 * config.num_key_value_heads, config.head_dim}, dtype));
}

void KvCache::append(int64_t sequence, int64_t tokens) {
  int64_t& length = lengths_[size_t(sequence)];
  if (length + tokens > capacity_)
    throw InternalError(
        text("sequence ", sequence, " has ", length, " of ", capacity_, " slots; no room for ", tokens));
  length += tokens;
}

void KvCache::copy_sequence(int64_t from, int64_t to) {
  int64_t count = lengths_[size_t(to)] = lengths_[size_t(from)];
  if (count == 0) return;
  for (Tensor& layer : layers_) {
    Tensor copied = layer.rows(first_slot(to), count);
    copy(layer.rows(first_slot(from), count), copied);
  }
}

void KvCache::truncate(int64_t sequence, int64_t tokens) {
  int64_t& length = lengths_[size_t(sequence)];
  if (tokens > length) throw InternalError(text("sequence ", sequence, " has ", length, " tokens, not ", tokens));
  length = tokens;
}

}  // namespace lathe
