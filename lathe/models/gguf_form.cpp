#include "lathe/models/gguf_form.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "lathe/base/error.h"
#include "lathe/base/nearest.h"
#include "lathe/models/family.h"

namespace lathe {
namespace {

/// What stands for * and # in a name.
struct Numbers {
  std::string star = "*", hash = "#";
};

bool is_digit(char c) { return c >= '0' && c <= '9'; }

/// Whether `name` is `pattern` with numbers, which go to `numbers`.
bool matches(std::string_view name, std::string_view pattern, Numbers& numbers) {
  for (char c : pattern) {
    if (c != '*' && c != '#') {
      if (!name.starts_with(c)) return false;
      name.remove_prefix(1);
      continue;
    }
    auto end = std::find_if_not(name.begin(), name.end(), is_digit);
    if (end == name.begin()) return false;
    (c == '*' ? numbers.star : numbers.hash) = std::string(name.begin(), end);
    name.remove_prefix(size_t(end - name.begin()));
  }
  return name.empty();
}

std::string with_numbers(const std::string& pattern, const Numbers& numbers) {
  std::string name;
  for (char c : pattern) name += c == '*' ? numbers.star : c == '#' ? numbers.hash : std::string(1, c);
  return name;
}

}  // namespace

std::string renamed(const std::string& name, const std::string& other, const std::string& pattern) {
  for (std::string_view suffix : {".weight", ".bias"}) {
    Numbers numbers;
    if (name.ends_with(suffix) &&
        matches(std::string_view(name).substr(0, name.size() - suffix.size()), other, numbers))
      return with_numbers(pattern, numbers) + std::string(suffix);
  }
  return "";
}

const Family& family_of_gguf(const GgufFile& file) {
  std::string architecture = file.fields().string("general.architecture");
  const Family* found = nullptr;
  std::vector<std::string> known;
  for (const std::string& name : family_names()) {
    const Family& family = family_named(name);
    if (!family.gguf) continue;
    known.push_back(family.gguf->architecture);
    if (family.gguf->architecture != architecture) continue;
    if (family.gguf->is ? family.gguf->is(file) : !found) found = &family;
  }
  std::sort(known.begin(), known.end());
  known.erase(std::unique(known.begin(), known.end()), known.end());
  std::string all;
  for (const std::string& name : known) all += (all.empty() ? "" : ", ") + name;
  std::optional<std::string> meant = found ? std::nullopt : nearest(architecture, known);
  require(found != nullptr, file.path(), ": general.architecture \"", architecture, "\" is not supported",
          meant ? "; did you mean '" + *meant + "'?" : "", "; supported are ", all);
  return *found;
}

namespace {

void read_scaling(const GgufFile& file, const std::string& of, ModelConfig& c) {
  const GgufFields& fields = file.fields();
  const std::string older = of.substr(0, of.find('.')) + ".rope.scale_linear";
  double factor = fields.number(of + "factor", fields.number(older, 0));  // 0: as it is
  std::string type = fields.string(of + "type", factor != 0 ? "linear" : "none");
  bool none = type == "none" || type == "longrope";  // of which tensors say the rest
  require(none || type == "linear" || type == "yarn", file.path(), ": ", of, "type \"", type, "\" is not supported");
  int64_t original = fields.integer(of + "original_context_length", c.max_position_embeddings);
  c.rope_scaling.original_max_position_embeddings = original;
  c.rope_scaling.factor = factor == 0 ? 1 : factor;
  if (!none) c.rope_scaling.rope_type = type;
  c.rope_scaling.beta_fast = fields.number(of + "yarn_beta_fast", c.rope_scaling.beta_fast);
  c.rope_scaling.beta_slow = fields.number(of + "yarn_beta_slow", c.rope_scaling.beta_slow);
  double share = fields.number(of + "attn_factor", 1) * fields.number(of + "yarn_attn_factor", 1);
  if (type == "yarn" && share != 1)
    c.rope_scaling.attention_factor = (1 + 0.1 * std::log(c.rope_scaling.factor)) * share;
}

}  // namespace

void read_gguf_sizes(const GgufFile& file, ModelConfig& c) {
  const GgufFields& fields = file.fields();
  const std::string of = fields.string("general.architecture") + ".";
  c.hidden_size = fields.integer(of + "embedding_length");
  c.num_hidden_layers = fields.integer(of + "block_count");
  c.num_attention_heads = fields.integer(of + "attention.head_count");
  c.num_key_value_heads = fields.integer(of + "attention.head_count_kv", c.num_attention_heads);
  c.intermediate_size = fields.integer(of + "feed_forward_length");
  c.max_position_embeddings = fields.integer(of + "context_length");
  c.head_dim = fields.integer(of + "attention.key_length", c.head_dim);
  require(fields.integer(of + "attention.value_length", c.head_dim) == c.head_dim, file.path(), ": ", of,
          "attention.value_length ", fields.integer(of + "attention.value_length", 0), " must be attention.key_length ",
          c.head_dim);
  c.norm_eps = fields.number(of + "attention.layer_norm_rms_epsilon",
                             fields.number(of + "attention.layer_norm_epsilon", c.norm_eps));
  c.rope_theta = fields.number(of + "rope.freq_base", c.rope_theta);
  read_scaling(file, of + "rope.scaling.", c);
}

namespace {

/// A key, less the architecture, and the value besides 0 that changes nothing.
struct Changing {
  const char* key;
  double neutral;
};
constexpr Changing kChanging[] = {{"attention.clamp_kqv", 0},
                                  {"attention.max_alibi_bias", 0},
                                  {"attention.output_scale", 1},
                                  {"attention.scale", 0},
                                  {"attn_logit_softcapping", 0},
                                  {"embedding_scale", 1},
                                  {"expert_count", 0},
                                  {"expert_shared_count", 0},
                                  {"expert_weights_scale", 1},
                                  {"final_logit_softcapping", 0},
                                  {"logit_scale", 1},
                                  {"residual_scale", 1},
                                  {"rope.scaling.yarn_ext_factor", 1},
                                  {"rope.scaling.yarn_log_multiplier", 0},
                                  {"router_logit_softcapping", 0}};

}  // namespace

void require_followed(const GgufFile& file, const GgufForm& form, const ModelConfig& c) {
  const GgufFields& fields = file.fields();
  const std::string of = form.architecture + ".", cannot = " is not supported in models of the family ";
  auto follows = [&](const char* key) { return std::count(form.keys.begin(), form.keys.end(), key) > 0; };
  for (const Changing& one : kChanging) {
    double value = follows(one.key) ? 0 : fields.number(of + one.key, 0);
    require(value == 0 || value == one.neutral, fields.place(of + one.key), " = ", value, cannot, c.model_type);
  }
  require(follows("attention.causal") || fields.boolean(of + "attention.causal", true),
          fields.place(of + "attention.causal"), " = false", cannot, c.model_type);
  int64_t turned =
      follows("rope.dimension_count") ? c.head_dim : fields.integer(of + "rope.dimension_count", c.head_dim);
  require(turned == c.head_dim, fields.place(of + "rope.dimension_count"), " = ", turned, cannot, c.model_type,
          ", which turn all ", c.head_dim, " numbers of a head");
  int64_t window = follows("attention.sliding_window") ? 0 : fields.integer(of + "attention.sliding_window", 0);
  require(window == 0 || window >= c.max_position_embeddings, fields.place(of + "attention.sliding_window"), " = ",
          window, cannot, c.model_type);
}

void write_gguf_sizes(const ModelConfig& c, const std::string& architecture, GgufNorm norm, GgufMetadata& metadata) {
  const std::string of = architecture + ".";
  metadata.set_u32(of + "block_count", c.num_hidden_layers);
  metadata.set_u32(of + "context_length", c.max_position_embeddings);
  metadata.set_u32(of + "embedding_length", c.hidden_size);
  metadata.set_u32(of + "feed_forward_length", c.intermediate_size);
  metadata.set_u32(of + "attention.head_count", c.num_attention_heads);
  metadata.set_u32(of + "attention.head_count_kv", c.num_key_value_heads);
  metadata.set_f32(of + (norm == GgufNorm::rms ? "attention.layer_norm_rms_epsilon" : "attention.layer_norm_epsilon"),
                   c.norm_eps);
}

GgufTensorSource gguf_source(const std::string& name, const std::vector<double>& numbers) {
  std::vector<float> floats(numbers.begin(), numbers.end());
  return {name, GgmlType::f32, {int64_t(floats.size())}, [floats](const std::function<void(Bytes)>& write) {
            write(std::as_bytes(std::span(floats)));
          }};
}

std::vector<double> gguf_numbers(const GgufFile& file, const std::string& name) {
  const GgufTensor* tensor = file.find(name);
  require(tensor && tensor->type == GgmlType::f32 && tensor->shape.size() == 1, file.path(), ": tensor \"", name,
          "\" is not there, or not f32 of one extent");
  std::vector<float> numbers(size_t(tensor->elements()));
  std::memcpy(numbers.data(), file.bytes(*tensor).data(), numbers.size() * sizeof(float));
  return {numbers.begin(), numbers.end()};
}

std::vector<GgufName> llama_gguf_names() {
  return {{"model.embed_tokens", "token_embd"},
          {"model.norm", "output_norm"},
          {"lm_head", "output"},
          {"model.layers.*.input_layernorm", "blk.*.attn_norm"},
          {"model.layers.*.self_attn.q_proj", "blk.*.attn_q"},
          {"model.layers.*.self_attn.k_proj", "blk.*.attn_k"},
          {"model.layers.*.self_attn.v_proj", "blk.*.attn_v"},
          {"model.layers.*.self_attn.o_proj", "blk.*.attn_output"},
          {"model.layers.*.post_attention_layernorm", "blk.*.ffn_norm"},
          {"model.layers.*.mlp.gate_proj", "blk.*.ffn_gate"},
          {"model.layers.*.mlp.up_proj", "blk.*.ffn_up"},
          {"model.layers.*.mlp.down_proj", "blk.*.ffn_down"}};
}

int64_t row_of_rotary_pairs(const ModelConfig& config, int64_t row) {
  int64_t half = config.head_dim / 2, head = row / config.head_dim, within = row % config.head_dim;
  return head * config.head_dim + within % half * 2 + within / half;
}

}  // namespace lathe
