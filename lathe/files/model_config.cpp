#include "lathe/files/model_config.h"

#include <filesystem>
#include <nlohmann/json.hpp>

#include "lathe/base/error.h"
#include "lathe/base/json.h"
#include "lathe/files/gguf_config.h"
#include "lathe/models/family.h"

namespace lathe {
namespace {

int64_t token_id(const nlohmann::json& json, const char* field) {
  auto found = json.find(field);
  if (found == json.end() || found->is_null()) return -1;
  const nlohmann::json& first = found->is_array() && !found->empty() ? found->front() : *found;  // several end tokens
  return first.get<int64_t>();
}

/// Said even where there is none: transformers takes a missing one for the token of its family's first model.
nlohmann::json token_or_null(int64_t id) { return id >= 0 ? nlohmann::json(id) : nlohmann::json(nullptr); }

}  // namespace

ModelConfig read_model_config(const std::string& model) {
  if (is_gguf(model)) return gguf_model_config(GgufFile(model));
  std::string path = (std::filesystem::path(model) / "config.json").string();
  nlohmann::json json = read_json(path, {.bytes = 1'000'000});
  require(json.is_object(), path, ": no JSON object");
  require(json.contains("model_type"), path, ": no model_type");
  try {
    ModelConfig config;
    config.model_type = json.at("model_type").get<std::string>();
    config.initializer_range = json.value("initializer_range", 0.02);
    config.bos_token_id = token_id(json, "bos_token_id");
    config.eos_token_id = token_id(json, "eos_token_id");
    family_named(config.model_type).read(json, config);
    return completed(config);
  } catch (const nlohmann::json::exception& error) {
    throw Error(text(path, ": ", error.what()));
  } catch (const Error& error) {
    throw Error(text(path, ": ", error.what()));
  }
}

std::string model_config_json(const ModelConfig& config, DType dtype) {
  const Family& family = family_named(config.model_type);
  nlohmann::json json = {{"model_type", config.model_type},
                         {"architectures", {family.architecture}},
                         {"vocab_size", config.vocab_size},
                         {"tie_word_embeddings", config.tie_word_embeddings},
                         {"initializer_range", config.initializer_range},
                         {"torch_dtype", dtype == DType::f32    ? "float32"
                                         : dtype == DType::bf16 ? "bfloat16"
                                                                : "float16"},
                         {"use_cache", true}};
  json["bos_token_id"] = token_or_null(config.bos_token_id);
  json["eos_token_id"] = token_or_null(config.eos_token_id);
  family.write(config, json);
  return json.dump(2) + "\n";
}

std::string generation_config_json(const ModelConfig& config) {
  nlohmann::json json = {{"bos_token_id", token_or_null(config.bos_token_id)},
                         {"eos_token_id", token_or_null(config.eos_token_id)},
                         {"pad_token_id", token_or_null(config.eos_token_id)}};
  return json.dump(2) + "\n";
}

}  // namespace lathe
