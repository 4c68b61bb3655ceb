#include "lathe/models/parts.h"

#include <cmath>

#include "lathe/ops/alibi.h"
#include "lathe/ops/elementwise.h"
#include "lathe/ops/head_norm.h"

namespace lathe {

int64_t padded_vocabulary(int64_t vocab_size) {
  return Runtime::current().device.backend == Backend::cuda ? (vocab_size + 63) / 64 * 64 : vocab_size;
}

std::vector<Section> head_sections(const std::string& name, int64_t vocab_size) {
  std::vector<Section> sections = {{name, vocab_size}};
  if (int64_t padding = padded_vocabulary(vocab_size) - vocab_size) sections.push_back({"", padding});
  return sections;
}

TokenTable::TokenTable(const std::string& name, int64_t vocab_size, int64_t hidden_size, Init init)
    : weight(std::make_unique<DenseWeight>(Shape{padded_vocabulary(vocab_size), hidden_size},
                                           std::vector<Slice>{whole_matrix(name, vocab_size, hidden_size)}, init)) {}

LinearOptions projection(const ModelConfig& c, int64_t in, std::vector<Section> sections, bool bias, Split split,
                         Mesh& mesh) {
  return {.in = in,
          .sections = std::move(sections),
          .bias = bias,
          .transposed = false,
          .init = Init::normal(float(c.initializer_range)),
          .split = split,
          .ranks = &mesh.tensor};
}

std::vector<Section> query_key_value(const ModelConfig& c, const std::string& q, const std::string& k,
                                     const std::string& v) {
  return {{q, c.num_attention_heads * c.head_dim, c.head_dim},
          {k, c.num_key_value_heads * c.head_dim, c.head_dim},
          {v, c.num_key_value_heads * c.head_dim, c.head_dim}};
}

std::vector<Section> interleaved_query_key_value(const ModelConfig& c, const std::string& name) {
  int64_t queries = c.num_attention_heads / c.num_key_value_heads * c.head_dim, stride = queries + 2 * c.head_dim;
  int64_t groups = c.num_key_value_heads;
  return {{name, groups * queries, queries, stride, 0},
          {name, groups * c.head_dim, c.head_dim, stride, queries},
          {name, groups * c.head_dim, c.head_dim, stride, queries + c.head_dim}};
}

int64_t row_of_interleaved_heads(const ModelConfig& c, int64_t row) {
  int64_t groups = c.num_key_value_heads, queries = c.num_attention_heads / groups * c.head_dim;
  int64_t stride = queries + 2 * c.head_dim, group = row / stride, within = row % stride;
  if (within < queries) return group * queries + within;
  int64_t head = (within - queries) / c.head_dim * groups + group;  // of all keys, then of all values
  return groups * queries + head * c.head_dim + (within - queries) % c.head_dim;
}

AttentionSpec attention_spec(const ModelConfig& c, int layer, Mesh& mesh) {
  AttentionSpec spec;
  spec.heads = c.num_attention_heads / mesh.tensor.size();
  spec.kv_heads = c.num_key_value_heads / mesh.tensor.size();
  spec.head_dim = c.head_dim;
  spec.scale = 1 / std::sqrt(float(c.head_dim));
  spec.window = window_of(c, layer);
  return spec;
}

Tensor add_to_residual(const Part& part, LinearInput x, const Tensor& hidden, float dropout, Pass& pass, int layer,
                       int use) {
  if (dropout == 0 || !pass.drops()) return part(std::move(x), pass, &hidden);
  return add(hidden, pass.drop(part(std::move(x), pass, nullptr), dropout, layer, use));
}

Alibi alibi_of(const ModelConfig& c, Mesh& mesh, float factor) {
  return {.all_heads = c.num_attention_heads,
          .first_head = c.num_attention_heads / mesh.tensor.size() * mesh.tensor.rank(),
          .distances = c.max_position_embeddings,
          .factor = factor};
}

HeadNormWeights::HeadNormWeights(const ModelConfig& c, const std::string& name, float weight_offset, Mesh& mesh)
    : q_({c.head_dim}, {whole_vector(name + ".q_norm.weight", c.head_dim)},
         weight_offset == 0 ? Init::ones() : Init::zeros(), true),
      k_({c.head_dim}, {whole_vector(name + ".k_norm.weight", c.head_dim)}, q_.init, true),
      eps_(float(c.norm_eps)),
      weight_offset_(weight_offset) {
  if (mesh.tensor.size() == 1) return;
  for (Parameter* weight : {&q_, &k_}) weight->sum_over.push_back(&mesh.tensor);  // each rank has other heads
}

Tensor HeadNormWeights::operator()(const Tensor& qkv, const AttentionSpec& spec) const {
  return head_norm(qkv, {.q_weight = q_.value,
                         .k_weight = k_.value,
                         .heads = spec.heads,
                         .kv_heads = spec.kv_heads,
                         .eps = eps_,
                         .weight_offset = weight_offset_});
}

void HeadNormWeights::list(Inventory& inventory) {
  inventory.add(q_);
  inventory.add(k_);
}

SelfAttention::SelfAttention(AttentionOptions options)
    : layer_(options.layer),
      spec_(std::move(options.spec)),
      qkv_(options.qkv),
      o_(options.o),
      head_norms_(std::move(options.head_norms)),
      alibi_(options.alibi) {}

Tensor SelfAttention::operator()(LinearInput x, Pass& pass, const Tensor* residual) const {
  Tensor qkv = qkv_(x, pass);
  x = Tensor();
  qkv = reshape(qkv, {qkv.shape()[0], spec_.heads + 2 * spec_.kv_heads, spec_.head_dim});
  if (head_norms_) qkv = (*head_norms_)(qkv, spec_);
  Tensor result = attended(qkv, pass);
  qkv = Tensor();
  return o_(result, pass, residual);
}

Tensor SelfAttention::attended(const Tensor& qkv, Pass& pass) const {
  if (alibi_.distances == 0) return pass.attend(layer_, qkv, spec_);
  AttentionSpec spec = spec_;
  spec.bias = alibi(alibi_.all_heads, alibi_.first_head, spec.heads, alibi_.distances, alibi_.factor);
  spec.bias_zero = alibi_.distances - 1;
  return pass.attend(layer_, qkv, spec);
}

void SelfAttention::list(Inventory& inventory) {
  qkv_.list(inventory);
  if (head_norms_) head_norms_->list(inventory);
  o_.list(inventory);
}

PlainMlp::PlainMlp(const std::string& activation, const LinearOptions& up, const LinearOptions& down)
    : activation_(activation_named(activation)), up_(up), down_(down) {}

Tensor PlainMlp::operator()(LinearInput x, Pass& pass, const Tensor* residual) const {
  Tensor hidden = up_.activated(std::move(x), pass, activation_);
  return down_(hidden, pass, residual);
}

void PlainMlp::list(Inventory& inventory) {
  up_.list(inventory);
  down_.list(inventory);
}

GatedMlp::GatedMlp(const std::string& activation, const LinearOptions& gate_up, const LinearOptions& down)
    : activation_(activation_named(activation)), gate_up_(gate_up), down_(down) {}

Tensor GatedMlp::operator()(LinearInput x, Pass& pass, const Tensor* residual) const {
  Tensor hidden = gate_up_.gated(std::move(x), pass, activation_);
  return down_(hidden, pass, residual);
}

void GatedMlp::list(Inventory& inventory) {
  gate_up_.list(inventory);
  down_.list(inventory);
}

}  // namespace lathe
