#include <nlohmann/json.hpp>

#include "lathe/base/error.h"
#include "lathe/base/json.h"
#include "lathe/tokenize/json_text.h"
#include "lathe/tokenize/pipeline_json.h"

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
}

std::string tokenizer_config_json(const Tokenizer::Parts& parts) {
  return text(
      "{\n  \"tokenizer_class\": \"PreTrainedTokenizerFast\",\n  \"bos_token\": ", name_or_null(parts, parts.begin),
      ",\n  \"eos_token\": ", name_or_null(parts, parts.end),
      ",\n  \"unk_token\": ", name_or_null(parts, parts.unknown), ",\n  \"clean_up_tokenization_spaces\": false\n}\n");
}

std::string join_vocabulary_and_merges(std::string_view vocabulary_json, std::string_view merges,
                                       const std::string& name) {
  simdjson::dom::parser parser;
  const JsonFields vocabulary = parse_json(parser, vocabulary_json, name + "/vocab.json");
  std::string rules;
  while (!merges.empty()) {
    std::string_view line = merges.substr(0, merges.find('\n'));
    merges.remove_prefix(std::min(merges.size(), line.size() + 1));
    if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
    if (line.empty() || line.substr(0, 9) == "#version:") continue;
    rules += (rules.empty() ? "" : ",") + json_quoted(line);
  }
  std::string added;
  uint64_t id = 0;
  if (vocabulary.all().at_key("<|endoftext|>").get(id) == simdjson::SUCCESS) {
    added = text("{\"id\":", id, R"(,"content":"<|endoftext|>","special":true,"normalized":false})");
  }
  return text(
      R"({"version":"1.0","added_tokens":[)", added,
      R"(],"normalizer":null,"pre_tokenizer":{"type":"ByteLevel","add_prefix_space":false,"trim_offsets":true,)",
      R"("use_regex":true},"post_processor":null,"decoder":{"type":"ByteLevel","add_prefix_space":true,)",
      R"("trim_offsets":true,"use_regex":true},"model":{"type":"BPE","dropout":null,"unk_token":null,)",
      R"("continuing_subword_prefix":null,"end_of_word_suffix":null,"fuse_unk":false,"byte_fallback":false,)",
      R"("vocab":)", vocabulary_json, R"(,"merges":[)", rules, "]}}");
}

}  // namespace lathe::tokenize
