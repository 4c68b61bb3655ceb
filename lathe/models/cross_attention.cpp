#include "lathe/models/cross_attention.h"

#include "lathe/comm/communicator.h"
#include "lathe/ops/elementwise.h"

namespace lathe {
namespace {

LinearOptions of(int64_t in, std::vector<Section> sections, bool bias, Init init, Split split, Mesh& mesh) {
  return {.in = in,
          .sections = std::move(sections),
          .bias = bias,
          .transposed = false,
          .init = init,
          .split = split,
          .ranks = &mesh.tensor};
}

}  // namespace

CrossAttention::CrossAttention(const ModelConfig& c, int layer, const AttentionNames& names, const AttentionSpec& spec,
                               bool bias, Init in, Init out, Mesh& mesh)
    : layer_(layer),
      spec_(spec),
      q_(of(c.hidden_size, {{names.q, c.num_attention_heads * c.head_dim, c.head_dim}}, bias, in, Split::out, mesh)),
      kv_(of(c.hidden_size,
             {{names.k, c.num_key_value_heads * c.head_dim, c.head_dim},
              {names.v, c.num_key_value_heads * c.head_dim, c.head_dim}},
             bias, in, Split::out, mesh)),
      o_(of(c.num_attention_heads * c.head_dim, {{names.o, c.hidden_size}}, bias, out, Split::in, mesh)) {
  spec_.causal = false;
}

Tensor CrossAttention::operator()(LinearInput x, Pass& pass, const Tensor* residual) const {
  Tensor q = q_(x, pass);
  x = Tensor();
  q = reshape(q, {q.shape()[0], spec_.heads, spec_.head_dim});
  auto keys_and_values = [&](const Tensor& memory) {
    return reshape(kv_(memory, pass), {memory.shape()[0], 2 * spec_.kv_heads, spec_.head_dim});
  };
  return o_(pass.attend_memory(layer_, q, keys_and_values, spec_), pass, residual);
}

void CrossAttention::list(Inventory& inventory) {
  q_.list(inventory);
  kv_.list(inventory);
  o_.list(inventory);
}

}  // namespace lathe
