#include "lathe/tokenize/vocabulary_settings.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "lathe/base/error.h"
#include "lathe/base/json.h"
#include "lathe/base/numbers.h"

namespace lathe::tokenize {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr const char* kRoles[] = {"bos_token", "eos_token", "unk_token", "sep_token",
                                  "pad_token", "cls_token", "mask_token"};
constexpr const char* kMoreTokens[] = {"additional_special_tokens", "extra_special_tokens"};
constexpr int64_t kLargestId = INT32_MAX;

/// The object in `directory`/`name`; null where there is no such file.
json object_in(const fs::path& directory, const char* name) {
  const std::string path = (directory / name).string();
  if (!fs::exists(path)) return nullptr;
  json object = read_json(path, {.bytes = 256 << 20});
  require(object.is_object(), path, " is no JSON object");
  return object;
}

/// A token as text, or as an object with "content" and flags.
AddedToken token_of(const json& value, const std::string& place) {
  if (value.is_null()) return {};
  if (value.is_string()) return {.content = value.get<std::string>(), .special = true};
  require(value.is_object(), place, " must be a token: text, or an object with \"content\"");
  const JsonFields fields(value, place);
  const bool special = fields.boolean("special", true);
  return {.content = fields.string("content"),
          .single_word = fields.boolean("single_word", false),
          .lstrip = fields.boolean("lstrip", false),
          .rstrip = fields.boolean("rstrip", false),
          .normalized = fields.boolean("normalized", !special),
          .special = special};
}

TokenId id_of(int64_t id, const std::string& place) {
  require(id >= 0 && id <= kLargestId, place, ": ", id, " is no possible id");
  return static_cast<TokenId>(id);
}

class Reader {
 public:
  explicit Reader(const fs::path& directory) : directory_(directory) {}

  VocabularySettings read() {
    const json config = object_in(directory_, "tokenizer_config.json");
    if (!config.is_null()) read_config(config);
    const bool complete = config.is_object() && config.contains("added_tokens_decoder");
    if (complete) {
      read_decoder(config.at("added_tokens_decoder"));
    } else {
      const json map = object_in(directory_, "special_tokens_map.json");
      if (!map.is_null()) read_names(map, place("special_tokens_map.json"));
      const json added = object_in(directory_, "added_tokens.json");
      if (!added.is_null()) read_added(added);
    }
    return std::move(settings_);
  }

 private:
  fs::path directory_;
  VocabularySettings settings_;

  std::string place(const char* file) const { return (directory_ / file).string(); }

  void read_config(const json& config) {
    const JsonFields fields(config, place("tokenizer_config.json"));
    settings_.has_config = true;
    settings_.tokenizer_class = fields.string("tokenizer_class", "");
    for (auto [name, value] :
         {std::pair("do_lower_case", &settings_.do_lower_case), std::pair("strip_accents", &settings_.strip_accents),
          std::pair("tokenize_chinese_chars", &settings_.tokenize_chinese_chars),
          std::pair("add_bos_token", &settings_.add_bos_token), std::pair("add_eos_token", &settings_.add_eos_token),
          std::pair("add_prefix_space", &settings_.add_prefix_space), std::pair("legacy", &settings_.legacy)})
      if (fields.has(name)) *value = fields.boolean(name);
    if (fields.has("extra_ids")) settings_.extra_ids = fields.integer("extra_ids");
    read_names(config, place("tokenizer_config.json"));
  }

  void read_names(const json& object, const std::string& file) {
    for (const char* role : kRoles) {
      const auto found = object.find(role);
      if (found == object.end()) continue;
      std::erase_if(settings_.tokens, [&](const NamedToken& token) { return token.role == role; });
      settings_.tokens.push_back({role, token_of(*found, text(file, ": ", role))});
      settings_.tokens.back().token.special = true;
    }
    for (const char* field : kMoreTokens) {
      const auto found = object.find(field);
      if (found == object.end() || !found->is_array()) continue;
      for (const json& token : *found) settings_.tokens.push_back({"", token_of(token, text(file, ": ", field))});
    }
  }

  /// {"50264": {"content": "<mask>", "lstrip": true, ...}}
  void read_decoder(const json& decoder) {
    const std::string file = place("tokenizer_config.json") + ": added_tokens_decoder";
    require(decoder.is_object(), file, " must be an object");
    for (const auto& [key, value] : decoder.items()) {
      const std::optional<int64_t> id = try_parse_int(key);
      require(id.has_value(), file, ": \"", key, "\" is no id");
      NamedToken token{"", token_of(value, text(file, ": ", key)), true};
      if (!value.contains("special")) token.token.special = false;
      token.token.id = id_of(*id, file);
      settings_.tokens.push_back(std::move(token));
    }
  }

  /// {"<new>": 50265}; special where another file names the token.
  void read_added(const json& added) {
    const JsonFields fields(added, place("added_tokens.json"));
    std::set<std::string> named;
    for (const NamedToken& token : settings_.tokens) named.insert(token.token.content);
    for (const std::string& content : fields.names()) {
      const bool special = named.contains(content);
      NamedToken token{"", {.content = content, .normalized = !special, .special = special}, true};
      token.token.id = id_of(fields.integer(content), fields.place(content));
      settings_.tokens.push_back(std::move(token));
    }
  }
};

/// "BertTokenizerFast" -> "Bert"; empty for classes that open any tokenizer.json.
std::string class_name(std::string_view name) {
  for (std::string_view ending : {"Fast", "Tokenizer"})
    if (name.ends_with(ending)) name.remove_suffix(ending.size());
  return name == "PreTrained" || name == "TokenizersBackend" ? "" : std::string(name);
}

}  // namespace

std::string VocabularySettings::name(const std::string& role, const std::string& usual) const {
  for (const NamedToken& token : tokens)
    if (token.role == role) return token.token.content;
  return usual;
}

VocabularySettings read_vocabulary_settings(const std::string& directory) {
  VocabularySettings settings = Reader(directory).read();
  settings.tokenizer_class = class_name(settings.tokenizer_class);
  return settings;
}

std::string tokenizer_class_of_model(const std::string& directory) {
  static const std::map<std::string, std::string> classes = {
      {"bert", "Bert"},        {"distilbert", "Bert"}, {"roberta", "Roberta"}, {"longformer", "Roberta"},
      {"bart", "Roberta"},     {"gpt2", "GPT2"},       {"gptj", "GPT2"},       {"opt", "GPT2"},
      {"gpt_neox", "GPTNeoX"}, {"qwen2", "Qwen2"},     {"qwen3", "Qwen2"},     {"t5", "T5"},
      {"mt5", "T5"},           {"llama", "Llama"},     {"mistral", "Llama"},   {"mixtral", "Llama"},
      {"phi3", "Llama"},       {"gemma", "Gemma"},     {"gemma2", "Gemma"},    {"gemma3_text", "Gemma"},
      {"gemma3", "Gemma"}};
  const json config = object_in(directory, "config.json");
  if (config.is_null()) return "";
  const JsonFields fields(config, (fs::path(directory) / "config.json").string());
  const std::string own = class_name(fields.string("tokenizer_class", ""));
  if (!own.empty()) return own;
  const auto found = classes.find(fields.string("model_type", ""));
  return found == classes.end() ? "" : found->second;
}

std::vector<AddedToken> added_tokens_of(const VocabularySettings& settings, const std::vector<UsualToken>& usual,
                                        const Vocabulary& vocabulary) {
  std::vector<AddedToken> added;
  std::set<std::string> there;
  int64_t next = static_cast<int64_t>(vocabulary.size());
  for (const NamedToken& token : settings.tokens) {
    if (!token.has_id || token.token.content.empty()) continue;
    there.insert(token.token.content);
    added.push_back(token.token);
    next = std::max(next, int64_t{token.token.id} + 1);
  }
  const auto add = [&](AddedToken token, bool always) {
    const auto known = vocabulary.id(token.content);
    if (token.content.empty() || (!known && !always) || !there.insert(token.content).second) return;
    token.id = known ? *known : static_cast<TokenId>(next++);
    added.push_back(std::move(token));
  };
  for (const NamedToken& token : settings.tokens) add(token.token, true);
  for (const UsualToken& token : usual)
    if (settings.name(token.role, token.spelling) == token.spelling)
      add({.content = token.spelling, .special = true}, false);
  return added;
}

}  // namespace lathe::tokenize
