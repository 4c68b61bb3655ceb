#include "lathe/nn/pass.h"

namespace lathe {

Tensor Pass::attend_memory(int, const Tensor&, const Project&, const AttentionSpec&) {
  throw InternalError("this pass has no encoder memory");
}

Tensor Pass::attend_with_globals(int layer, const Tensor& qkv, const GlobalProjections&, const AttentionSpec& spec) {
  return attend(layer, qkv, spec);
}

const Tensor& Pass::token_types() const {
  static const Tensor none;
  return none;
}

Tensor Pass::ends(const Tensor&, SequenceEnd) const {
  throw InternalError("this pass does not say where sequences end");
}

Tensor Pass::finish_sequences(const Tensor& rows, const Project& head) { return head(rows); }

Tensor Pass::rows(const Tensor& hidden) const { return hidden; }

Tensor Pass::finish(const Tensor& hidden, const Project& head) { return head(rows(hidden)); }

Tensor Pass::drop(const Tensor& x, float, int, int) const { return x; }

const AdapterChoice& Pass::adapters() const {
  static const AdapterChoice all;
  return all;
}

}  // namespace lathe
