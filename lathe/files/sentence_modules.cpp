#include "lathe/files/sentence_modules.h"

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "lathe/base/durable_file.h"
#include "lathe/base/error.h"
#include "lathe/base/gguf_writer.h"
#include "lathe/base/json.h"

namespace lathe {
namespace {

namespace fs = std::filesystem;

struct PoolingName {
  const char* field;  ///< of a Pooling module's config.json
  const char* mode;   ///< the same as sentence-transformers 5 writes it
  const char* name;   ///< ours
  Pooling pooling;
};
/// In the order in which sentence-transformers puts several side by side.
constexpr PoolingName kNames[] = {
    {"pooling_mode_cls_token", "cls", "first", Pooling::first},
    {"pooling_mode_max_tokens", "max", "max", Pooling::max},
    {"pooling_mode_mean_tokens", "mean", "mean", Pooling::mean},
    {"pooling_mode_mean_sqrt_len_tokens", "mean_sqrt_len_tokens", "mean-sqrt-length", Pooling::mean_sqrt_length},
    {"pooling_mode_weightedmean_tokens", "weightedmean", "weighted-mean", Pooling::weighted_mean},
    {"pooling_mode_lasttoken", "lasttoken", "last", Pooling::last}};

std::vector<Pooling> read_pooling(const std::string& path, const std::string& prompt) {
  nlohmann::json json = read_json(path, {.bytes = 1'000'000});
  JsonFields fields(json, path);
  require(prompt.empty() || fields.boolean("include_prompt", true), path,
          ": include_prompt is false, which is not supported where texts have a prompt, here \"", prompt, "\"");
  std::vector<Pooling> pooling;
  std::string mode = fields.has("pooling_mode") ? fields.string("pooling_mode") : "";
  for (const PoolingName& known : kNames)
    if (fields.boolean(known.field, false) || mode == known.mode) pooling.push_back(known.pooling);
  require(!pooling.empty(), path, ": no pooling mode that is supported is true: cls_token, max_tokens, mean_tokens, ",
          "mean_sqrt_len_tokens, weightedmean_tokens, lasttoken");
  return pooling;
}

/// What stands before texts where nobody says otherwise.
std::string default_prompt(const std::string& path) {
  if (!fs::exists(path)) return "";
  nlohmann::json json = read_json(path, {.bytes = 1'000'000});
  JsonFields fields(json, path);
  if (!fields.has("default_prompt_name")) return "";
  std::string name = fields.string("default_prompt_name");
  require(fields.has("prompts"), fields.place("default_prompt_name"), " is \"", name, "\", but there are no prompts");
  return fields.object("prompts").string(name);
}

/// The longest text that the tokenizer was meant for; 0: not said, or so many that it says nothing.
int64_t tokenizer_length(const std::string& path) {
  constexpr double kNothing = 1e9;
  if (!fs::exists(path)) return 0;
  nlohmann::json json = read_json(path);
  double length = JsonFields(json, path).number("model_max_length", 0);
  return length >= 1 && length < kNothing ? int64_t(length) : 0;
}

/// "Pooling" of "sentence_transformers.models.Pooling".
std::string last_word(const std::string& type) { return type.substr(type.rfind('.') + 1); }

}  // namespace

std::optional<SentenceModules> read_sentence_modules(const std::string& directory) {
  std::string path = (fs::path(directory) / "modules.json").string();
  if (!fs::exists(path)) return std::nullopt;
  nlohmann::json list = read_json(path, {.bytes = 1'000'000});
  require(list.is_array(), path, ": no list of modules");
  SentenceModules modules;
  modules.prompt = default_prompt((fs::path(directory) / "config_sentence_transformers.json").string());
  for (const nlohmann::json& item : list) {
    require(item.is_object(), path, ": a module is no JSON object");
    JsonFields module(item, path);
    std::string type = last_word(module.string("type"));
    if (type == "Pooling")
      modules.pooling =
          read_pooling((fs::path(directory) / module.string("path") / "config.json").string(), modules.prompt);
    else if (type == "Normalize")
      modules.normalize = true;
    else
      require(type == "Transformer", path, ": module \"", module.string("type"),
              "\" is not supported; Transformer, Pooling and Normalize are");
  }
  std::string limits = (fs::path(directory) / "sentence_bert_config.json").string();
  if (fs::exists(limits)) {
    nlohmann::json json = read_json(limits, {.bytes = 1'000'000});
    JsonFields fields(json, limits);
    modules.max_tokens = fields.integer("max_seq_length", 0);
    modules.lowercase = fields.boolean("do_lower_case", false);
    require(modules.max_tokens >= 0, limits, ": max_seq_length ", modules.max_tokens, " must not be negative");
  }
  if (modules.max_tokens == 0)
    modules.max_tokens = tokenizer_length((fs::path(directory) / "tokenizer_config.json").string());
  return modules;
}

void write_sentence_modules(const SentenceModules& modules, int64_t width, const std::string& directory) {
  nlohmann::ordered_json list, pooling = {{"word_embedding_dimension", width}};
  auto add = [&](const std::string& type, const std::string& path) {
    const std::string number = std::to_string(list.size());
    list.push_back(
        {{"idx", list.size()}, {"name", number}, {"path", path}, {"type", "sentence_transformers.models." + type}});
  };
  add("Transformer", "");
  add("Pooling", "1_Pooling");
  if (modules.normalize) add("Normalize", "2_Normalize");
  for (const PoolingName& known : kNames)
    pooling[known.field] = std::count(modules.pooling.begin(), modules.pooling.end(), known.pooling) > 0;
  fs::create_directories(fs::path(directory) / "1_Pooling");
  replace_file(directory + "/modules.json", list.dump(2) + "\n");
  replace_file(directory + "/1_Pooling/config.json", pooling.dump(2) + "\n");
  nlohmann::ordered_json limits = nlohmann::ordered_json::object();
  if (modules.max_tokens > 0) limits["max_seq_length"] = modules.max_tokens;
  if (modules.lowercase) limits["do_lower_case"] = true;
  if (!limits.empty()) replace_file(directory + "/sentence_bert_config.json", limits.dump(2) + "\n");
  if (modules.prompt.empty()) return;
  nlohmann::ordered_json prompts = {{"prompts", {{"default", modules.prompt}}}, {"default_prompt_name", "default"}};
  replace_file(directory + "/config_sentence_transformers.json", prompts.dump(2) + "\n");
}

/// llama.cpp's numbers of kinds of pooling.
constexpr std::pair<int64_t, Pooling> kGgufPooling[] = {{1, Pooling::mean}, {2, Pooling::first}, {3, Pooling::last}};
constexpr const char *kNormalize = "sentence_transformers.normalize", *kMaxTokens = "sentence_transformers.max_tokens",
                     *kLowercase = "sentence_transformers.lowercase", *kPrompt = "sentence_transformers.prompt";

std::optional<SentenceModules> gguf_sentence_modules(const std::string& file) {
  GgufFile gguf(file);
  const GgufFields& fields = gguf.fields();
  const std::string key = fields.string("general.architecture") + ".pooling_type";
  int64_t type = fields.integer(key, 0);
  if (type == 0) return std::nullopt;
  SentenceModules modules{.normalize = fields.boolean(kNormalize, true),
                          .max_tokens = fields.integer(kMaxTokens, 0),
                          .lowercase = fields.boolean(kLowercase, false),
                          .prompt = fields.string(kPrompt, "")};
  auto known =
      std::find_if(std::begin(kGgufPooling), std::end(kGgufPooling), [&](auto& one) { return one.first == type; });
  require(known != std::end(kGgufPooling), fields.place(key), " ", type,
          " is not supported; 1 (mean), 2 (first) and 3 (last) are");
  require(modules.max_tokens >= 0, fields.place(kMaxTokens), " ", modules.max_tokens, " must not be negative");
  modules.pooling = {known->second};
  return modules;
}

void add_gguf_sentence_modules(const SentenceModules& modules, const std::string& architecture,
                               GgufMetadata& metadata) {
  auto known = std::find_if(std::begin(kGgufPooling), std::end(kGgufPooling),
                            [&](auto& one) { return one.second == modules.pooling[0]; });
  require(modules.pooling.size() == 1 && known != std::end(kGgufPooling), "pooling by ", name_of(modules.pooling[0]),
          modules.pooling.size() > 1 ? " and others" : "", " cannot be kept in a GGUF file; mean, first and last can");
  metadata.set_u32(architecture + ".pooling_type", known->first);
  metadata.set_bool(kNormalize, modules.normalize);
  if (modules.max_tokens > 0) metadata.set_u32(kMaxTokens, modules.max_tokens);
  if (modules.lowercase) metadata.set_bool(kLowercase, true);
  if (!modules.prompt.empty()) metadata.set_string(kPrompt, modules.prompt);
}

Pooling pooling_named(const std::string& name) {
  std::string all;
  for (const PoolingName& known : kNames) {
    if (name == known.name) return known.pooling;
    all += text(all.empty() ? "" : ", ", known.name);
  }
  throw Error(text("pooling \"", name, "\" is none of ", all));
}

const char* name_of(Pooling pooling) {
  for (const PoolingName& known : kNames)
    if (pooling == known.pooling) return known.name;
  return "";
}

}  // namespace lathe
