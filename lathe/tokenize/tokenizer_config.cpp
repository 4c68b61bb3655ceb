#include "lathe/base/error.h"
#include "lathe/tokenize/json_text.h"
#include "lathe/tokenize/parts.h"
#include "lathe/tokenize/vocabulary_settings.h"

namespace lathe::tokenize {
namespace {

std::optional<TokenId>* token_of(Tokenizer::Parts& parts, std::string_view role) {
  if (role == "bos_token") return &parts.begin;
  if (role == "eos_token") return &parts.end;
  if (role == "unk_token") return &parts.unknown;
  if (role == "pad_token") return &parts.pad;
  if (role == "mask_token") return &parts.mask;
  if (role == "cls_token") return &parts.cls;
  return role == "sep_token" ? &parts.sep : nullptr;
}

std::string name_or_null(const Tokenizer::Parts& parts, const std::optional<TokenId>& id) {
  return id ? json_quoted(parts.vocabulary.spelling(*id)) : "null";
}

}  // namespace

void name_tokens(const VocabularySettings& settings, Tokenizer::Parts& parts) {
  for (const NamedToken& token : settings.tokens) {
    std::optional<TokenId>* id = token_of(parts, token.role);
    // Some files name tokens that the tokenizer does not have; what a text becomes without a token its own file says.
    if (id && token.role != "unk_token" && !token.token.content.empty()) *id = parts.vocabulary.id(token.token.content);
  }
}

void name_usual_tokens(const VocabularySettings& settings, const std::vector<UsualToken>& usual,
                       Tokenizer::Parts& parts) {
  for (const UsualToken& token : usual)
    if (std::optional<TokenId>* id = token_of(parts, token.role); id && token.role != std::string_view("unk_token"))
      *id = parts.vocabulary.id(settings.name(token.role, token.spelling));
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
