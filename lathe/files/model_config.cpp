#include "lathe/files/model_config.h"

#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>

#include "lathe/base/error.h"
#include "lathe/base/json.h"
#include "lathe/files/gguf_config.h"
#include "lathe/models/bidirectional.h"
#include "lathe/models/config_json.h"
#include "lathe/models/family.h"
#include "lathe/models/task.h"

namespace lathe {
namespace {

constexpr const char* kEndTokens = "eos_token_id";

int64_t token_id(const nlohmann::json& json, const char* field) {
  auto found = json.find(field);
  if (found == json.end() || !found->is_array()) return field_or(json, field, int64_t{-1});
  std::vector<int64_t> several;  // tokens that end texts
  read_field(json, field, several);
  return several.empty() ? -1 : several.front();
}

/// Numbers of another format than their type says would be read as if they were plain.
void require_plain_tensors(const nlohmann::json& json) {
  auto found = json.find("quantization_config");
  if (found == json.end() || found->is_null()) return;
  std::string method = found->is_object() ? found->value("quant_method", nlohmann::json("?")).dump() : found->dump();
  throw Error(text("quantization_config: the tensors are quantized by ", method,
                   ", which is not read; save the model dequantized with the program that made it, or take a GGUF "
                   "file of it"));
}

/// The class of transformers that wrote it, where it says one.
std::string architecture_of(const nlohmann::json& json) {
  auto found = json.find("architectures");
  if (found == json.end() || found->is_null()) return "";
  std::vector<std::string> names;
  read_field(json, "architectures", names);
  return names.empty() ? "" : names.front();
}

/// Names of a classifier's outputs: of id2label, or LABEL_0 ... as transformers calls them.
std::vector<std::string> labels_of(const nlohmann::json& json) {
  constexpr int64_t kMost = 1 << 20;
  auto named = json.find("id2label");
  bool names = named != json.end() && named->is_object() && !named->empty();
  int64_t count = names ? int64_t(named->size()) : field_or(json, "num_labels", int64_t{2});
  require(count > 0 && count <= kMost, "num_labels = ", count, " must be from 1 to ", kMost);
  std::vector<std::string> labels;
  for (int64_t i = 0; i < count; ++i) {
    std::string id = std::to_string(i);
    require(!names || named->contains(id), "id2label has ", count, " labels but none for ", id);
    require(!names || named->at(id).is_string(), "id2label: label ", id, " is no string");
    labels.push_back(names ? named->at(id).get<std::string>() : "LABEL_" + id);
  }
  return labels;
}

/// Said even where there is none: transformers takes a missing one for the token of its family's first model.
nlohmann::json token_or_null(int64_t id) { return id >= 0 ? nlohmann::json(id) : nlohmann::json(nullptr); }

/// The fields of a config.json that ours would not have, so that they are there again when it is written.
std::string other_fields(const nlohmann::json& json, const ModelConfig& config) {
  nlohmann::json ours = nlohmann::json::parse(model_config_json(config, DType::f32)), others = nlohmann::json::object();
  for (const auto& [name, value] : json.items())
    if ((!ours.contains(name) && name != "dtype") || (name == kEndTokens && value.size() > 1)) others[name] = value;
  return others.empty() ? "" : others.dump();
}

/// Models of images and text whose text model is one of ours: it lies in their text_config, of this family where that
/// names none.
const std::map<std::string, std::string>& wrappers() {
  static const std::map<std::string, std::string> all = {
      {"gemma3", "gemma3_text"}, {"llava", "llama"}, {"llava_next", "llama"}, {"mistral3", "mistral"}};
  return all;
}

/// The config.json of the text model alone, where `json` is that of such a model; else `json`.
nlohmann::json text_model_of(nlohmann::json json) {
  auto wrapper = wrappers().find(json.at("model_type").get<std::string>());
  if (wrapper == wrappers().end()) return json;
  const std::string architecture = architecture_of(json);
  require(architecture.empty() || architecture.ends_with("ForConditionalGeneration"), "architecture ", architecture,
          " of ", wrapper->first,
          " is not supported; of models of images and text ...ForConditionalGeneration is, whose "
          "text model is read");
  auto found = json.find("text_config");
  require(found != json.end() && found->is_object(), "text_config is ", found == json.end() ? "missing" : "no object",
          "; ", wrapper->first, " has its text model's fields there");
  nlohmann::json own = std::move(*found);
  if (!own.contains("model_type")) own["model_type"] = wrapper->second;
  require(own["model_type"].is_string(), "text_config.model_type is no string");
  own.erase("architectures");  // whatever it says, the head is that of a language model
  for (const char* outside :
       {"bos_token_id", "eos_token_id", "pad_token_id", "tie_word_embeddings", "quantization_config"})
    if (json.contains(outside) && !json[outside].is_null()) own[outside] = json[outside];
  return own;
}

}  // namespace

ModelConfig read_model_config(const std::string& model) {
  if (is_gguf(model)) return gguf_model_config(GgufFile(model));
  std::string path = (std::filesystem::path(model) / "config.json").string();
  nlohmann::json json = read_json(path, {.bytes = 1'000'000});
  require(json.is_object(), path, ": no JSON object");
  require(json.contains("model_type") && json["model_type"].is_string(), path,
          json.contains("model_type") ? ": model_type is no string" : ": no model_type");
  try {
    json = text_model_of(std::move(json));
    require_plain_tensors(json);
    ModelConfig config;
    config.model_type = json.at("model_type").get<std::string>();
    config.initializer_range = field_or(json, "initializer_range", 0.02);
    config.bos_token_id = token_id(json, "bos_token_id");
    config.eos_token_id = token_id(json, "eos_token_id");
    config.pad_token_id = token_id(json, "pad_token_id");
    config.decoder_start_token_id = token_id(json, "decoder_start_token_id");
    config.forced_bos_token_id = token_id(json, "forced_bos_token_id");
    config.forced_eos_token_id = token_id(json, "forced_eos_token_id");
    config.architecture = architecture_of(json);
    config.labels = labels_of(json);
    family_named(config.model_type).read(json, config);
    config = completed(config);
    config.other_fields = other_fields(json, config);
    return config;
  } catch (const nlohmann::json::exception& error) {
    throw Error(text(path, ": ", error.what()));
  } catch (const Error& error) {
    throw Error(text(path, ": ", error.what()));
  }
}

std::string model_config_json(const ModelConfig& config, DType dtype) {
  const Family& family = family_named(config.model_type);
  nlohmann::json json = {{"model_type", config.model_type},
                         {"architectures", {architecture_of(config)}},
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
  if (task_of(config) == Task::sequence_labels && !json.contains("id2label")) write_labels(config, json);
  nlohmann::json others = nlohmann::json::object();  // lives as long as the loop: items() does not hold it
  if (!config.other_fields.empty()) others = nlohmann::json::parse(config.other_fields);
  for (const auto& [name, value] : others.items())
    if (!json.contains(name) || (name == kEndTokens && value.front() == config.eos_token_id)) json[name] = value;
  return json.dump(2) + "\n";
}

std::vector<int64_t> end_token_ids(const ModelConfig& config) {
  if (!config.other_fields.empty())
    if (nlohmann::json others = nlohmann::json::parse(config.other_fields); others.contains(kEndTokens))
      return others[kEndTokens].get<std::vector<int64_t>>();
  return config.eos_token_id < 0 ? std::vector<int64_t>() : std::vector{config.eos_token_id};
}

}  // namespace lathe
