#include "lathe/models/config_json.h"

#include <algorithm>
#include <cmath>

#include "lathe/base/json.h"

namespace lathe {

namespace {

/// Whose fields they are, as other messages call it. Objects inside a config.json name no family.
std::string owner_of(const nlohmann::json& json) {
  auto family = json.find("model_type");
  return family != json.end() && family->is_string() ? family->get<std::string>() : "rope_scaling";
}

void take(const JsonFields& fields, const char* name, bool& value) { value = fields.boolean(name); }
void take(const JsonFields& fields, const char* name, int64_t& value) { value = fields.integer(name); }
void take(const JsonFields& fields, const char* name, double& value) { value = fields.number(name); }
void take(const JsonFields& fields, const char* name, std::string& value) { value = fields.string(name); }
void take(const JsonFields& fields, const char* name, std::vector<int64_t>& value) { value = fields.integers(name); }
void take(const JsonFields& fields, const char* name, std::vector<std::string>& value) { value = fields.strings(name); }
void take(const JsonFields& fields, const char* name, std::vector<double>& value) {
  const nlohmann::json& list = fields.json().at(name);
  bool numbers = list.is_array() && std::all_of(list.begin(), list.end(), [](auto& item) { return item.is_number(); });
  require(numbers, fields.place(name), " must be a list of numbers");
  value = list.get<std::vector<double>>();
}

}  // namespace

template <class T>
void read_field(const nlohmann::json& json, const char* name, T& value) {
  JsonFields fields(json, owner_of(json));
  if (fields.has(name)) take(fields, name, value);
}

template void read_field(const nlohmann::json&, const char*, bool&);
template void read_field(const nlohmann::json&, const char*, int64_t&);
template void read_field(const nlohmann::json&, const char*, double&);
template void read_field(const nlohmann::json&, const char*, std::string&);
template void read_field(const nlohmann::json&, const char*, std::vector<int64_t>&);
template void read_field(const nlohmann::json&, const char*, std::vector<std::string>&);

template <class T>
T field_or(const nlohmann::json& json, const char* name, T fallback) {
  read_field(json, name, fallback);
  return fallback;
}

template bool field_or(const nlohmann::json&, const char*, bool);
template int64_t field_or(const nlohmann::json&, const char*, int64_t);
template double field_or(const nlohmann::json&, const char*, double);
template std::string field_or(const nlohmann::json&, const char*, std::string);

template <class T>
void require_field(const nlohmann::json& json, const ModelConfig& c, const char* name, const T& only) {
  auto found = json.find(name);
  require(found == json.end() || found->is_null() || *found == nlohmann::json(only), c.model_type, ": ", name, " = ",
          found == json.end() ? std::string() : found->dump(), " is not supported; only ", nlohmann::json(only).dump(),
          " is");
}

template void require_field(const nlohmann::json&, const ModelConfig&, const char*, const bool&);
template void require_field(const nlohmann::json&, const ModelConfig&, const char*, const double&);

namespace {

double yarn_magnitude(double factor, double scale) { return factor <= 1 ? 1 : 0.1 * scale * std::log(factor) + 1; }

/// DeepSeek's way to say attention_factor.
void read_magnitudes(const nlohmann::json& rope, RopeScaling& scaling) {
  double mscale = 0, mscale_all_dim = 0;
  read_field(rope, "mscale", mscale);
  read_field(rope, "mscale_all_dim", mscale_all_dim);
  if (scaling.attention_factor == 0 && mscale != 0 && mscale_all_dim != 0)
    scaling.attention_factor = yarn_magnitude(scaling.factor, mscale) / yarn_magnitude(scaling.factor, mscale_all_dim);
}

void require_known_keys(const nlohmann::json& rope, const char* field, const std::string& type, const ModelConfig& c) {
  std::vector<std::string> known = {"rope_type", "type", "rope_theta", "partial_rotary_factor"};
  auto also = [&](std::initializer_list<const char*> names) { known.insert(known.end(), names.begin(), names.end()); };
  if (type != "default") also({"factor", "original_max_position_embeddings"});
  if (type == "llama3") also({"low_freq_factor", "high_freq_factor"});
  if (type == "yarn") also({"beta_fast", "beta_slow", "attention_factor", "mscale", "mscale_all_dim", "truncate"});
  if (type == "longrope") also({"short_factor", "long_factor", "attention_factor"});
  for (auto& [key, value] : rope.items())
    require(value.is_null() || std::find(known.begin(), known.end(), key) != known.end(), c.model_type, ": ", field,
            " of type \"", type, "\" has \"", key, "\", which is not known");
}

}  // namespace

void require_few_layers(const ModelConfig& c) {
  require(c.num_hidden_layers <= kMostLayers, c.model_type, ": num_hidden_layers = ", c.num_hidden_layers, " is above ",
          kMostLayers);
}

void read_rope_object(const nlohmann::json& rope, const char* field, ModelConfig& c) {
  require(rope.is_object(), c.model_type, ": ", field, " is no object");
  std::string type = field_or(rope, "rope_type", field_or(rope, "type", std::string("default")));
  if (type == "su") type = "longrope";
  bool known = type == "default" || type == "linear" || type == "dynamic" || type == "llama3" || type == "yarn" ||
               type == "longrope";
  require(known, c.model_type, ": ", field, " of type \"", type,
          "\" is not supported; default, linear, dynamic, llama3, yarn and longrope are");
  require_known_keys(rope, field, type, c);
  read_field(rope, "rope_theta", c.rope_theta);
  read_field(rope, "partial_rotary_factor", c.partial_rotary_factor);
  c.rope_scaling = {};
  if (type == "default") return;
  RopeScaling& s = c.rope_scaling;
  s.rope_type = type;
  bool stated = rope.contains("factor") && !rope.at("factor").is_null();
  read_field(rope, "original_max_position_embeddings", s.original_max_position_embeddings);
  if (s.original_max_position_embeddings == 0) s.original_max_position_embeddings = c.max_position_embeddings;
  require(stated || type == "longrope" || type == "yarn", c.model_type, ": ", field, " of type \"", type,
          "\" has no factor");
  s.factor = double(c.max_position_embeddings) / double(std::max<int64_t>(s.original_max_position_embeddings, 1));
  read_field(rope, "factor", s.factor);
  read_field(rope, "low_freq_factor", s.low_freq_factor);
  read_field(rope, "high_freq_factor", s.high_freq_factor);
  read_field(rope, "beta_fast", s.beta_fast);
  read_field(rope, "beta_slow", s.beta_slow);
  read_field(rope, "attention_factor", s.attention_factor);
  read_field(rope, "short_factor", s.short_factor);
  read_field(rope, "long_factor", s.long_factor);
  read_magnitudes(rope, s);
  require_field(rope, c, "truncate", true);
}

void read_rope(const nlohmann::json& json, ModelConfig& c) {
  read_field(json, "rope_theta", c.rope_theta);
  read_field(json, "partial_rotary_factor", c.partial_rotary_factor);
  for (const char* field : {"rope_scaling", "rope_parameters"}) {
    auto rope = json.find(field);
    if (rope != json.end() && !rope->is_null()) read_rope_object(*rope, field, c);
  }
}

void write_rope(const ModelConfig& c, nlohmann::json& json) {
  json["rope_theta"] = c.rope_theta;
  if (c.partial_rotary_factor != 0 && c.partial_rotary_factor != 1)
    json["partial_rotary_factor"] = c.partial_rotary_factor;
  const RopeScaling& s = c.rope_scaling;
  if (s.rope_type.empty()) return;
  nlohmann::json rope = {{"rope_type", s.rope_type}, {"type", s.rope_type}, {"factor", s.factor}};
  if (s.rope_type != "linear") rope["original_max_position_embeddings"] = s.original_max_position_embeddings;
  if (s.rope_type == "llama3") {
    rope["low_freq_factor"] = s.low_freq_factor;
    rope["high_freq_factor"] = s.high_freq_factor;
  }
  if (s.rope_type == "yarn") {
    rope["beta_fast"] = s.beta_fast;
    rope["beta_slow"] = s.beta_slow;
  }
  if (s.attention_factor != 0) rope["attention_factor"] = s.attention_factor;
  if (s.rope_type == "longrope") {
    rope["short_factor"] = s.short_factor;
    rope["long_factor"] = s.long_factor;
  }
  json["rope_scaling"] = rope;
}

RotarySpec rotary_spec(const ModelConfig& c) {
  const RopeScaling& s = c.rope_scaling;
  RotarySpec spec;
  if (c.head_dim <= 0) return spec;  // completed() will say so
  spec.dims = int64_t(double(c.head_dim) * (c.partial_rotary_factor == 0 ? 1 : c.partial_rotary_factor) + 1e-6);
  require(spec.dims > 0 && spec.dims % 2 == 0, c.model_type, ": head_dim ", c.head_dim, " x partial_rotary_factor ",
          c.partial_rotary_factor, " is ", spec.dims, ", which must be even: rotary positions turn pairs");
  spec.theta = float(c.rope_theta);
  spec.scaling = s.rope_type;
  spec.factor = s.factor;
  spec.low_freq_factor = s.low_freq_factor, spec.high_freq_factor = s.high_freq_factor;
  spec.beta_fast = s.beta_fast, spec.beta_slow = s.beta_slow;
  spec.attention_factor = s.attention_factor;
  spec.short_factor = s.short_factor, spec.long_factor = s.long_factor;
  spec.original_max_position_embeddings = s.original_max_position_embeddings > 0 && s.rope_type != "dynamic"
                                              ? s.original_max_position_embeddings
                                              : c.max_position_embeddings;
  for (auto* factors : {&s.short_factor, &s.long_factor})
    require(s.rope_type != "longrope" || int64_t(factors->size()) == spec.dims / 2, c.model_type, ": rope_scaling has ",
            s.short_factor.size(), " short_factors and ", s.long_factor.size(), " long_factors for ", spec.dims / 2,
            " pairs of a head");
  require(s.rope_type != "dynamic" || spec.dims > 2, c.model_type,
          ": rope_type dynamic needs more than one pair of a head");
  rotary_frequency(spec, 0);
  rotary_frequency(for_length(spec, c.max_position_embeddings), 0);
  return spec;
}

void read_windows(const nlohmann::json& json, ModelConfig& c) {
  read_field(json, "sliding_window", c.sliding_window);
  read_field(json, "layer_types", c.layer_types);
  bool used = true;
  read_field(json, "use_sliding_window", used);
  if (!used) {
    c.sliding_window = 0;
    c.layer_types.clear();
  }
  if (!used || !c.layer_types.empty() || !json.contains("max_window_layers")) return;
  require_few_layers(c);
  int64_t full = 0;
  read_field(json, "max_window_layers", full);
  for (int64_t layer = 0; layer < c.num_hidden_layers; ++layer)
    c.layer_types.push_back(layer >= full ? "sliding_attention" : "full_attention");
}

void write_windows(const ModelConfig& c, nlohmann::json& json) {
  json["sliding_window"] = c.sliding_window > 0 ? nlohmann::json(c.sliding_window) : nlohmann::json(nullptr);
  if (!c.layer_types.empty()) json["layer_types"] = c.layer_types;
}

void read_llama_fields(const nlohmann::json& json, ModelConfig& c) {
  read_field(json, "vocab_size", c.vocab_size);
  read_field(json, "hidden_size", c.hidden_size);
  read_field(json, "intermediate_size", c.intermediate_size);
  read_field(json, "num_hidden_layers", c.num_hidden_layers);
  read_field(json, "num_attention_heads", c.num_attention_heads);
  read_field(json, "num_key_value_heads", c.num_key_value_heads);
  read_field(json, "head_dim", c.head_dim);
  read_field(json, "max_position_embeddings", c.max_position_embeddings);
  read_field(json, "hidden_act", c.hidden_act);
  read_field(json, "rms_norm_eps", c.norm_eps);
  read_field(json, "tie_word_embeddings", c.tie_word_embeddings);
  read_rope(json, c);
}

void write_llama_fields(const ModelConfig& c, nlohmann::json& json) {
  json["hidden_size"] = c.hidden_size;
  json["intermediate_size"] = c.intermediate_size;
  json["num_hidden_layers"] = c.num_hidden_layers;
  json["num_attention_heads"] = c.num_attention_heads;
  json["num_key_value_heads"] = c.num_key_value_heads;
  json["head_dim"] = c.head_dim;
  json["max_position_embeddings"] = c.max_position_embeddings;
  json["hidden_act"] = c.hidden_act;
  json["rms_norm_eps"] = c.norm_eps;
  write_rope(c, json);
}

}  // namespace lathe
