#include <nlohmann/json.hpp>

#include "lathe/base/error.h"
#include "lathe/base/json.h"
#include "lathe/tokenize/json_text.h"
#include "lathe/tokenize/parts.h"

namespace lathe::tokenize {
namespace {

/// The id of a token that a tokenizer_config.json names: as text, or as an object with "content". Some files name
/// tokens that the tokenizer does not have.
void read_name(const nlohmann::json& config, const char* key, const Tokenizer::Parts& parts,
               std::optional<TokenId>& id) {
  const auto found = config.find(key);
  if (found == config.end()) return;
  const nlohmann::json& name = found->is_object() && found->contains("content") ? found->at("content") : *found;
  if (name.is_string()) id = parts.vocabulary.id(name.get<std::string>());
}

std::string name_or_null(const Tokenizer::Parts& parts, const std::optional<TokenId>& id) {
  return id ? json_quoted(parts.vocabulary.spelling(*id)) : "null";
}

}  // namespace

void read_tokenizer_config(std::string_view json, const std::string& name, Tokenizer::Parts& parts) {
  // Not simdjson: these files hold numbers beyond 64 bits (model_max_length), which it refuses.
  const nlohmann::json config = lathe::parse_json(json, name);
  require(config.is_object(), name, " is no JSON object");
  read_name(config, "bos_token", parts, parts.begin);
  read_name(config, "eos_token", parts, parts.end);
  read_name(config, "pad_token", parts, parts.pad);
  read_name(config, "mask_token", parts, parts.mask);
  read_name(config, "cls_token", parts, parts.cls);
  read_name(config, "sep_token", parts, parts.sep);
}

std::string tokenizer_config_json(const Tokenizer::Parts& parts) {
  std::string json = text("{\n  \"tokenizer_class\": \"PreTrainedTokenizerFast\",\n  \"bos_token\": ",
                          name_or_null(parts, parts.begin), ",\n  \"eos_token\": ", name_or_null(parts, parts.end),
                          ",\n  \"unk_token\": ", name_or_null(parts, parts.unknown));
  for (auto [key, id] : {std::pair("pad_token", parts.pad), std::pair("mask_token", parts.mask),
                         std::pair("cls_token", parts.cls), std::pair("sep_token", parts.sep)})
    if (id) json += text(",\n  \"", key, "\": ", name_or_null(parts, id));
  return json + ",\n  \"clean_up_tokenization_spaces\": false\n}\n";
}

}  // namespace lathe::tokenize
