#include "lathe/models/family.h"

#include <algorithm>
#include <cmath>

#include "lathe/base/error.h"
#include "lathe/base/nearest.h"
#include "lathe/ops/activation.h"

namespace lathe {
namespace {

std::vector<Family>& families() {
  static std::vector<Family> all;
  return all;
}

constexpr int64_t kLargestSize = int64_t{1} << 30;  // products of two sizes fit 64 bits

/// Throws Error for a size below `least` or too large to reckon with.
void check_sizes(const ModelConfig& c, int64_t least) {
  const std::pair<const char*, int64_t> sizes[] = {{"vocab_size", c.vocab_size},
                                                   {"hidden_size", c.hidden_size},
                                                   {"num_hidden_layers", c.num_hidden_layers},
                                                   {"num_attention_heads", c.num_attention_heads},
                                                   {"num_key_value_heads", c.num_key_value_heads},
                                                   {"head_dim", c.head_dim},
                                                   {"intermediate_size", c.intermediate_size},
                                                   {"max_position_embeddings", c.max_position_embeddings}};
  for (auto& [name, value] : sizes)
    require(value >= least && value <= kLargestSize, c.model_type, ": ", name, " = ", value, " must be from ", least,
            " to ", kLargestSize);
  require(c.num_decoder_layers >= 0 && c.num_decoder_layers <= kMostLayers, c.model_type,
          ": num_decoder_layers = ", c.num_decoder_layers, " must be from 0 to ", kMostLayers);
  require(c.num_hidden_layers <= kMostLayers, c.model_type, ": num_hidden_layers = ", c.num_hidden_layers, " is above ",
          kMostLayers);
}

/// Throws Error for numbers that no model has, and that would silently give others for all that follows.
void check_numbers(const ModelConfig& c) {
  auto not_negative = [&](const char* name, double value) {
    require(std::isfinite(value) && value >= 0, c.model_type, ": ", name, " = ", value, " must be 0 or above");
  };
  not_negative("the norms' epsilon", c.norm_eps);
  not_negative("rope_theta", c.rope_theta);
  not_negative("rope_local_base_freq", c.rope_local_base_freq);
  not_negative("query_pre_attn_scalar", c.query_pre_attn_scalar);
  not_negative("attn_logit_softcapping", c.attn_logit_softcapping);
  not_negative("final_logit_softcapping", c.final_logit_softcapping);
  not_negative("initializer_range", c.initializer_range);
  not_negative("partial_rotary_factor", c.partial_rotary_factor);
  require(c.partial_rotary_factor <= 1, c.model_type, ": partial_rotary_factor ", c.partial_rotary_factor,
          " must be at most 1");
  for (double dropout : {c.embd_pdrop, c.resid_pdrop})
    require(dropout >= 0 && dropout < 1, c.model_type, ": dropout ", dropout, " must be from 0 to below 1");
}

void check_rope_scaling(const ModelConfig& c) {
  const RopeScaling& s = c.rope_scaling;
  if (s.rope_type.empty()) return;
  const std::string what = text(c.model_type, ": rope_scaling of type \"", s.rope_type, "\": ");
  require(std::isfinite(s.factor) && s.factor > 0, what, "factor ", s.factor, " must be positive");
  require(std::isfinite(s.attention_factor) && s.attention_factor >= 0, what, "attention_factor ", s.attention_factor,
          " must be positive");
  if (s.rope_type == "llama3")
    require(s.low_freq_factor > 0 && s.high_freq_factor > s.low_freq_factor && std::isfinite(s.high_freq_factor), what,
            "high_freq_factor ", s.high_freq_factor, " must be above low_freq_factor ", s.low_freq_factor,
            ", which must be positive");
  if (s.rope_type == "yarn")
    require(s.beta_slow > 0 && s.beta_fast >= s.beta_slow && std::isfinite(s.beta_fast), what, "beta_fast ",
            s.beta_fast, " must not be below beta_slow ", s.beta_slow, ", which must be positive");
  for (auto* factors : {&s.short_factor, &s.long_factor})
    for (double factor : *factors)
      require(std::isfinite(factor) && factor > 0, what, "a factor ", factor, " must be positive");
}

void check_layer_types(const ModelConfig& c) {
  require(c.layer_types.empty() || int64_t(c.layer_types.size()) == c.num_hidden_layers, c.model_type,
          ": layer_types names ", c.layer_types.size(), " layers of ", c.num_hidden_layers);
  for (const std::string& type : c.layer_types) {
    require(type == "full_attention" || type == "sliding_attention", c.model_type, ": layer_types has \"", type,
            "\"; full_attention and sliding_attention are known");
    require(type == "full_attention" || c.sliding_window > 0, c.model_type,
            ": layer_types has sliding_attention, but sliding_window is ", c.sliding_window);
  }
  require(c.sliding_window >= 0, c.model_type, ": sliding_window ", c.sliding_window, " must not be negative");
}

}  // namespace

bool provide_family(const Family& family) {
  families().push_back(family);
  return true;
}

std::vector<std::string> family_names() {
  std::vector<std::string> names;
  for (const Family& family : families()) names.push_back(family.model_type);
  std::sort(names.begin(), names.end());
  return names;
}

const Family& family_named(const std::string& model_type) {
  for (const Family& family : families())
    if (family.model_type == model_type) return family;
  throw Error(text("unknown model_type \"", model_type, "\"", did_you_mean(model_type, family_names())));
}

ModelConfig completed(ModelConfig c) {
  const Family& family = family_named(c.model_type);
  check_sizes(c, 0);
  check_numbers(c);
  check_rope_scaling(c);
  if (c.num_key_value_heads == 0) c.num_key_value_heads = c.num_attention_heads;
  if (c.head_dim == 0 && c.num_attention_heads > 0) {
    require(c.hidden_size % c.num_attention_heads == 0, c.model_type, ": hidden_size ", c.hidden_size,
            " is no multiple of num_attention_heads ", c.num_attention_heads, "; set head_dim");
    c.head_dim = c.hidden_size / c.num_attention_heads;
  }
  if (!c.rope_scaling.rope_type.empty() && c.rope_scaling.original_max_position_embeddings == 0)
    c.rope_scaling.original_max_position_embeddings = c.max_position_embeddings;
  family.complete(c);
  check_sizes(c, 1);
  check_layer_types(c);
  activation_named(c.hidden_act);
  require(c.num_attention_heads % c.num_key_value_heads == 0, c.model_type, ": num_attention_heads ",
          c.num_attention_heads, " is no multiple of num_key_value_heads ", c.num_key_value_heads);
  return c;
}

int64_t decoding_layers(const ModelConfig& c) {
  return c.num_decoder_layers > 0 ? c.num_decoder_layers : c.num_hidden_layers;
}

std::unique_ptr<Model> make_model(ModelConfig config, Mesh& mesh) {
  config = completed(std::move(config));
  return family_named(config.model_type).make(config, mesh);
}

}  // namespace lathe
