#include "lathe/files/generation_config.h"

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "lathe/base/error.h"
#include "lathe/base/json.h"
#include "lathe/base/log.h"
#include "lathe/files/model_config.h"

namespace lathe {
namespace {

using nlohmann::json;

/// A field by its name in generation_config.json and, where there is one, its key in GGUF files.
template <class T>
struct Field {
  const char* name;
  std::optional<T> GenerationConfig::*place;
  const char* key = nullptr;
};

constexpr Field<double> kNumbers[] = {
    {"temperature", &GenerationConfig::temperature, "general.sampling.temp"},
    {"top_p", &GenerationConfig::top_p, "general.sampling.top_p"},
    {"min_p", &GenerationConfig::min_p, "general.sampling.min_p"},
    {"repetition_penalty", &GenerationConfig::repetition_penalty, "general.sampling.penalty_repeat"},
    {"length_penalty", &GenerationConfig::length_penalty}};

constexpr Field<int64_t> kIntegers[] = {{"top_k", &GenerationConfig::top_k, "general.sampling.top_k"},
                                        {"no_repeat_ngram_size", &GenerationConfig::no_repeat_ngram_size},
                                        {"max_new_tokens", &GenerationConfig::max_new_tokens},
                                        {"num_beams", &GenerationConfig::num_beams},
                                        {"decoder_start_token_id", &GenerationConfig::decoder_start_token_id},
                                        {"forced_bos_token_id", &GenerationConfig::forced_bos_token_id},
                                        {"forced_eos_token_id", &GenerationConfig::forced_eos_token_id}};

/// What lathe does not apply, and the value that changes nothing beside null, false, 0 and [].
constexpr std::pair<const char*, double> kIgnored[] = {{"bad_words_ids", 0},
                                                       {"begin_suppress_tokens", 0},
                                                       {"diversity_penalty", 0},
                                                       {"encoder_no_repeat_ngram_size", 0},
                                                       {"encoder_repetition_penalty", 1},
                                                       {"epsilon_cutoff", 0},
                                                       {"eta_cutoff", 0},
                                                       {"exponential_decay_length_penalty", 0},
                                                       {"guidance_scale", 1},
                                                       {"min_length", 0},
                                                       {"min_new_tokens", 0},
                                                       {"num_beam_groups", 1},
                                                       {"penalty_alpha", 0},
                                                       {"sequence_bias", 0},
                                                       {"suppress_tokens", 0},
                                                       {"typical_p", 1}};

/// Tokens that end texts besides the tokenizer's own, in GGUF files: of a turn, of a message.
constexpr const char* kEndKeys[] = {"tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id"};

bool says_something(const json& value, double neutral) {
  if (value.is_number()) return value.get<double>() != 0 && value.get<double>() != neutral;
  return !value.is_null() && value != json(false) && !(value.is_structured() && value.empty());
}

/// Whether tokens are drawn, and what transformers takes for the fields that are not there then.
void complete_sampling(const JsonFields& fields, GenerationConfig& config) {
  bool named = config.temperature || config.top_k || config.top_p || config.min_p;
  if (!fields.boolean("do_sample", named)) {
    bool said = fields.has("do_sample");
    config.top_k = std::nullopt, config.top_p = config.min_p = std::nullopt;
    config.temperature = said ? std::optional(0.0) : std::nullopt;
    return;
  }
  config.temperature = config.temperature.value_or(1);
  config.top_k = config.top_k.value_or(50);
  config.top_p = config.top_p.value_or(1);
}

GenerationConfig of_json(const json& object, const std::string& path) {
  JsonFields fields(object, path);
  GenerationConfig config;
  for (const auto& field : kNumbers)
    if (fields.has(field.name)) config.*field.place = fields.number(field.name);
  for (const auto& field : kIntegers)
    if (fields.has(field.name)) config.*field.place = fields.integer(field.name);
  complete_sampling(fields, config);
  if (fields.has("early_stopping")) {
    const json& value = object["early_stopping"];
    config.early_stopping = value.is_boolean() ? (value.get<bool>() ? "yes" : "no") : fields.string("early_stopping");
  }
  if (fields.has("eos_token_id"))
    config.eos_token_ids = object["eos_token_id"].is_array() ? fields.integers("eos_token_id")
                                                             : std::vector{fields.integer("eos_token_id")};
  if (fields.has("stop_strings"))
    config.stop_strings =
        object["stop_strings"].is_array() ? fields.strings("stop_strings") : std::vector{fields.string("stop_strings")};
  for (auto [name, neutral] : kIgnored)
    if (fields.has(name) && says_something(object[name], neutral)) config.ignored.emplace_back(name);
  return config;
}

GenerationConfig of_gguf(const GgufFields& fields) {
  GenerationConfig config;
  for (const auto& field : kNumbers)
    if (field.key && fields.has(field.key)) config.*field.place = fields.number(field.key);
  for (const auto& field : kIntegers)
    if (field.key && fields.has(field.key)) config.*field.place = fields.integer(field.key);
  for (const char* key : kEndKeys)
    if (int64_t id = fields.integer(key, -1); id >= 0) config.eos_token_ids.push_back(id);
  for (const char* key : {"general.sampling.xtc_probability", "general.sampling.mirostat"})
    if (fields.number(key, 0) != 0) config.ignored.emplace_back(key);
  return config;
}

}  // namespace

GenerationConfig read_generation_config(const std::string& model) {
  if (is_gguf(model)) return of_gguf(GgufFile(model).fields());
  std::string path = (std::filesystem::path(model) / "generation_config.json").string();
  return std::filesystem::exists(path) ? of_json(read_json(path, {.bytes = 1'000'000}), path) : GenerationConfig();
}

std::string generation_config_json(const ModelConfig& config, const GenerationConfig& generation) {
  json object = json::object();
  for (const auto& field : kNumbers)
    if (generation.*field.place) object[field.name] = *(generation.*field.place);
  for (const auto& field : kIntegers)
    if (generation.*field.place) object[field.name] = *(generation.*field.place);
  if (generation.temperature || generation.top_k || generation.top_p || generation.min_p)
    object["do_sample"] = generation.temperature != 0.0;
  if (generation.temperature == 0.0)
    for (const char* unread : {"temperature", "top_k", "top_p", "min_p"}) object.erase(unread);
  // null where there is none: transformers takes a missing one for the token of its family's first model
  for (auto [name, id] :
       {std::pair("bos_token_id", config.bos_token_id), std::pair("eos_token_id", config.eos_token_id),
        std::pair("pad_token_id", config.eos_token_id)})
    object[name] = id >= 0 ? json(id) : json(nullptr);
  std::vector<int64_t> ends = end_token_ids(config);
  for (int64_t id : generation.eos_token_ids)
    if (std::find(ends.begin(), ends.end(), id) == ends.end()) ends.push_back(id);
  if (ends.size() > 1) object["eos_token_id"] = ends;
  return object.dump(2) + "\n";
}

void add_gguf_sampling(const GenerationConfig& generation, GgufMetadata& metadata) {
  for (const auto& field : kNumbers)
    if (field.key && generation.*field.place) metadata.set_f32(field.key, *(generation.*field.place));
  for (const auto& field : kIntegers)
    if (field.key && generation.*field.place) metadata.set_u32(field.key, *(generation.*field.place));
}

void add_gguf_end_tokens(std::span<const int64_t> ids, int64_t end, GgufMetadata& metadata) {
  std::vector<int64_t> others;
  for (int64_t id : ids)
    if (id != end && std::find(others.begin(), others.end(), id) == others.end()) others.push_back(id);
  std::string lost;
  for (size_t i = 0; i < others.size(); ++i)
    if (i < std::size(kEndKeys))
      metadata.set_u32(kEndKeys[i], others[i]);
    else
      lost += text(lost.empty() ? "" : ", ", others[i]);
  if (!lost.empty())
    log_warning("GGUF files name three tokens that end texts; texts of this one will not end at token ", lost);
}

}  // namespace lathe
