#include "lathe/tokenize/gguf_metadata.h"

#include <nlohmann/json.hpp>

#include "lathe/base/base64.h"
#include "lathe/base/error.h"
#include "lathe/base/json.h"

namespace lathe {
namespace {

using nlohmann::json;

constexpr float kUnusedScore = -10000;

enum Type : int32_t { kNormal = 1, kUnknown = 2, kControl = 3, kUserDefined = 4, kUnused = 5, kByte = 6 };

std::string key(const char* name) { return std::string("tokenizer.ggml.") + name; }

std::string type_of(const json& part) { return part.is_object() ? part.value("type", std::string()) : ""; }

/// The steps of a part that may be a Sequence of them.
std::vector<json> steps_of(const json& part, const char* field) {
  if (type_of(part) == "Sequence" && part.contains(field)) return part.at(field).get<std::vector<json>>();
  return part.is_object() ? std::vector<json>{part} : std::vector<json>{};
}

bool has_step(const json& part, const char* field, const char* type) {
  for (const json& step : steps_of(part, field))
    if (type_of(step) == type) return true;
  return false;
}

/// How the words of GPT-4 and its kin are cut, with numbers of up to so many digits.
std::string words(const char* digits) {
  return std::string(R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N})") + digits +
         R"(| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
}

/// llama.cpp's name for a way to split text; it has no other description in a file.
std::string name_of_split(const json& pre_tokenizer, bool whole_words_first) {
  std::vector<json> steps = steps_of(pre_tokenizer, "pretokenizers");
  bool digits = !steps.empty() && type_of(steps[0]) == "Digits" && steps[0].value("individual_digits", false);
  if (digits) steps.erase(steps.begin());
  bool by_words = steps.size() == 1 && type_of(steps[0]) == "ByteLevel" && steps[0].value("use_regex", true) &&
                  !steps[0].value("add_prefix_space", true);
  if (by_words) return digits ? "smollm" : "gpt-2";
  bool split = !digits && steps.size() == 2 && type_of(steps[0]) == "Split" && type_of(steps[1]) == "ByteLevel" &&
               !steps[1].value("use_regex", true) && steps[0].value("behavior", std::string()) == "Isolated" &&
               !steps[0].value("invert", false) && steps[0].contains("pattern");
  std::string expression = split ? steps[0]["pattern"].value("Regex", std::string()) : "";
  if (expression == words("{1,3}")) return whole_words_first ? "llama-bpe" : "dbrx";
  if (expression == words("")) return "qwen2";
  throw Error("this tokenizer's way to split text has no name in GGUF files, so it cannot be written there");
}

/// The token of each id, and what it is.
struct Pieces {
  std::vector<std::string> tokens;
  std::vector<int32_t> types;
};

Pieces pieces_of(const Tokenizer& tokenizer, int64_t count, bool bytes) {
  require(tokenizer.vocabulary_size() <= count, "the tokenizer has ", tokenizer.vocabulary_size(),
          " tokens but the model knows ", count, "; they do not belong together");
  Pieces pieces{{}, std::vector<int32_t>(size_t(count), kNormal)};
  for (int64_t id = 0; id < count; ++id) {
    bool known = id < tokenizer.vocabulary_size() && !tokenizer.token(TokenId(id)).empty();
    const std::string spelt = known ? std::string(tokenizer.token(TokenId(id))) : text("[PAD", id, "]");
    bool byte = bytes && spelt.size() == 6 && spelt.starts_with("<0x") && spelt.ends_with(">");
    if (!known || byte) pieces.types[size_t(id)] = byte ? kByte : kUnused;
    pieces.tokens.push_back(spelt);
  }
  for (const AddedToken& added : tokenizer.added_tokens())
    pieces.types[added.id] = added.special ? kControl : kUserDefined;
  return pieces;
}

std::vector<std::pair<std::string, std::string>> merges_of(const json& model) {
  std::vector<std::pair<std::string, std::string>> merges;
  for (const json& merge : model.at("merges")) {
    if (merge.is_array()) {
      merges.emplace_back(merge.at(0).get<std::string>(), merge.at(1).get<std::string>());
      continue;
    }
    std::string both = merge.get<std::string>();
    size_t space = both.find(' ', 1);
    require(space != std::string::npos, "a merge \"", both, "\" of the tokenizer is no pair");
    merges.emplace_back(both.substr(0, space), both.substr(space + 1));
  }
  return merges;
}

/// Whether texts are put together as RoBERTa's are, which llama.cpp knows by the name of their split.
bool is_roberta(const json& file) { return type_of(file.value("post_processor", json())) == "RobertaProcessing"; }

void add_byte_level(const json& file, const Tokenizer& tokenizer, GgufMetadata& metadata) {
  const std::string split = name_of_split(file.at("pre_tokenizer"), file["model"].value("ignore_merges", false));
  require(!is_roberta(file) || split == "gpt-2",
          "a tokenizer that ends texts as RoBERTa's does and splits them otherwise cannot be written to a GGUF file");
  metadata.set_string(key("model"), "gpt2");
  metadata.set_string(key("pre"), is_roberta(file) ? "roberta-bpe" : split);
  if (is_roberta(file))
    for (auto [id, name] :
         {std::pair(tokenizer.mask_token(), "mask_token_id"), std::pair(tokenizer.begin_token(), "cls_token_id"),
          std::pair(tokenizer.end_token(), "seperator_token_id")})
      if (id) metadata.set_u32(key(name), *id);
  std::vector<std::string> merges;
  for (const auto& [left, right] : merges_of(file.at("model"))) merges.push_back(left + ' ' + right);
  metadata.set_strings(key("merges"), merges);
}

/// SentencePiece merges the pair whose token has the largest score: minus its place among the merges.
std::vector<float> scores_of(const json& model, const Tokenizer& tokenizer, size_t count) {
  std::vector<float> scores(count, 0);
  float next = 0;
  for (const auto& [left, right] : merges_of(model))
    if (std::optional<TokenId> id = tokenizer.id(left + right); id && scores[*id] == 0) scores[*id] = --next;
  return scores;
}

/// Whether a space is put before a text.
bool adds_space(const json& file) {
  bool prefix = has_step(file.value("normalizer", json()), "normalizers", "Prepend");
  for (const json& step : steps_of(file.value("pre_tokenizer", json()), "pretokenizers"))
    prefix = prefix || (type_of(step) == "Metaspace" && step.value("prepend_scheme", std::string("always")) != "never");
  return prefix;
}

void add_sentencepiece(const json& file, const Tokenizer& tokenizer, Pieces& pieces, GgufMetadata& metadata) {
  metadata.set_string(key("model"), "llama");
  metadata.set_string(key("pre"), "default");
  metadata.set_f32s(key("scores"), scores_of(file.at("model"), tokenizer, pieces.tokens.size()));
  metadata.set_bool(key("add_space_prefix"), adds_space(file));
  if (tokenizer.unknown_token()) pieces.types[*tokenizer.unknown_token()] = kUnknown;
}

/// BERT's files mark pieces inside a word, llama.cpp's those that begin one.
std::string with_begin_marked(const std::string& spelt) {
  if (spelt.size() > 2 && spelt.front() == '[' && spelt.back() == ']') return spelt;
  return spelt.starts_with("##") ? spelt.substr(2) : "\xE2\x96\x81" + spelt;
}

void add_word_pieces(const json& file, const Tokenizer& tokenizer, Pieces& pieces, GgufMetadata& metadata) {
  const json normalizer = file.value("normalizer", json()), model = file.at("model");
  require(type_of(normalizer) == "BertNormalizer" && normalizer.value("clean_text", true) &&
              normalizer.value("handle_chinese_chars", true) &&
              type_of(file.value("pre_tokenizer", json())) == "BertPreTokenizer" &&
              model.value("continuing_subword_prefix", std::string("##")) == "##",
          "a WordPiece tokenizer whose texts are not prepared as BERT's cannot be written to a GGUF file");
  for (std::string& token : pieces.tokens) token = with_begin_marked(token);
  metadata.set_string(key("model"), "bert");
  metadata.set_string(key("pre"), "default");
  const bool lowercase = normalizer.value("lowercase", true);
  const json strip = normalizer.value("strip_accents", json());
  metadata.set_bool(key("normalizer.lowercase"), lowercase);
  metadata.set_bool(key("normalizer.strip_accents"), strip.is_boolean() ? strip.get<bool>() : lowercase);
  for (auto [token, name] : {std::pair("[CLS]", "bos_token_id"), std::pair("[CLS]", "cls_token_id"),
                             std::pair("[SEP]", "seperator_token_id"), std::pair("[MASK]", "mask_token_id")}) {
    std::optional<TokenId> id = tokenizer.id(token);
    require(id || token == std::string("[MASK]"), "a WordPiece tokenizer without ", token,
            " cannot be written to a GGUF file");
    if (id) metadata.set_u32(key(name), *id);
  }
}

/// The texts' own normalizer, if any: SentencePiece's, as its files hold it.
std::string charsmap_of(const json& normalizer) {
  for (const json& step : steps_of(normalizer, "normalizers")) {
    if (type_of(step) != "Precompiled") continue;
    std::optional<std::string> bytes = base64_decoded(step.value("precompiled_charsmap", std::string()));
    require(bytes.has_value(), "the precompiled_charsmap of the tokenizer is no base64");
    return *bytes;
  }
  return "";
}

/// Whether spaces side by side become one.
bool joins_spaces(const json& file) {
  for (const json& step : steps_of(file.value("normalizer", json()), "normalizers"))
    if (type_of(step) == "Replace" && step.contains("pattern") && step["pattern"].value("Regex", "") == " {2,}")
      return true;
  return has_step(file.value("pre_tokenizer", json()), "pretokenizers", "WhitespaceSplit");
}

/// Steps that llama.cpp does not take would give other tokens.
void require_sentencepiece_steps(const json& file) {
  for (const json& step : steps_of(file.value("normalizer", json()), "normalizers"))
    require(type_of(step) == "Precompiled" || type_of(step) == "Replace" || type_of(step) == "Prepend",
            "a Unigram tokenizer with the normalizer ", type_of(step), " cannot be written to a GGUF file");
  for (const json& step : steps_of(file.value("pre_tokenizer", json()), "pretokenizers"))
    require(type_of(step) == "Metaspace" || type_of(step) == "WhitespaceSplit" || type_of(step) == "Split",
            "a Unigram tokenizer with the pre-tokenizer ", type_of(step), " cannot be written to a GGUF file");
}

void add_unigram(const json& file, Pieces& pieces, GgufMetadata& metadata) {
  require_sentencepiece_steps(file);
  const json& vocabulary = file.at("model").at("vocab");
  std::vector<float> scores(pieces.tokens.size(), kUnusedScore);
  for (size_t id = 0; id < vocabulary.size() && id < scores.size(); ++id)
    scores[id] = vocabulary[id].at(1).get<float>();
  const json unknown = file.at("model").value("unk_id", json());
  if (unknown.is_number_unsigned() && unknown < pieces.types.size()) pieces.types[unknown.get<size_t>()] = kUnknown;
  metadata.set_string(key("model"), "t5");
  metadata.set_string(key("pre"), "default");
  metadata.set_f32s(key("scores"), scores);
  metadata.set_bool(key("add_space_prefix"), adds_space(file));
  metadata.set_bool(key("remove_extra_whitespaces"), joins_spaces(file));
  const std::string charsmap = charsmap_of(file.value("normalizer", json()));
  if (!charsmap.empty())
    metadata.set(key("precompiled_charsmap"), {.type = GgufType::array,
                                               .element = GgufType::u8,
                                               .count = int64_t(charsmap.size()),
                                               .bytes = bytes_of(charsmap)});
}

/// Whether texts begin, and end, with a token of their own.
void add_ends(const json& file, const Tokenizer& tokenizer, GgufMetadata& metadata) {
  std::vector<TokenId> plain = tokenizer.encode("a"), whole = tokenizer.encode_with_template("a");
  bool begins = !whole.empty() && tokenizer.begin_token() && whole.front() == *tokenizer.begin_token() &&
                (plain.empty() || plain.front() != whole.front());
  bool ends = !whole.empty() && tokenizer.end_token() && whole.back() == *tokenizer.end_token() &&
              (plain.empty() || plain.back() != whole.back());
  require(!is_roberta(file) || (begins && ends),
          "a tokenizer that puts texts between other tokens than its begin and end token cannot be written to a GGUF "
          "file; bos_token and eos_token of tokenizer_config.json name those");
  metadata.set_bool(key("add_bos_token"), begins);
  metadata.set_bool(key("add_eos_token"), ends);
}

}  // namespace

void add_gguf_tokenizer(const Tokenizer& tokenizer, int64_t tokens, GgufMetadata& metadata) {
  json file = parse_json(tokenizer.json(), "the tokenizer", {.bytes = 256 << 20, .values = 32 << 20});
  require(file.contains("model") && file["model"].is_object(), "the tokenizer has no model");
  const json& model = file["model"];
  bool merges = model.contains("merges"), fallback = model.value("byte_fallback", false);
  bool byte_level = merges && has_step(file.value("pre_tokenizer", json()), "pretokenizers", "ByteLevel");
  bool words = tokenizer.kind() == "WordPiece", unigram = tokenizer.kind().starts_with("Unigram");
  require(byte_level || (merges && fallback) || words || unigram, "a tokenizer of kind ", tokenizer.kind(),
          " cannot be written to a GGUF file; byte-level BPE, BPE with byte fallback, WordPiece and Unigram can");
  Pieces pieces = pieces_of(tokenizer, tokens, fallback);
  if (byte_level)
    add_byte_level(file, tokenizer, metadata);
  else if (words)
    add_word_pieces(file, tokenizer, pieces, metadata);
  else if (unigram)
    add_unigram(file, pieces, metadata);
  else
    add_sentencepiece(file, tokenizer, pieces, metadata);
  metadata.set_strings(key("tokens"), pieces.tokens);
  metadata.set_i32s(key("token_type"), pieces.types);
  if (!words && tokenizer.begin_token()) metadata.set_u32(key("bos_token_id"), *tokenizer.begin_token());
  if (tokenizer.end_token()) metadata.set_u32(key("eos_token_id"), *tokenizer.end_token());
  if (tokenizer.unknown_token()) metadata.set_u32(key("unknown_token_id"), *tokenizer.unknown_token());
  if (tokenizer.pad_token()) metadata.set_u32(key("padding_token_id"), *tokenizer.pad_token());
  if (!words)
    add_ends(file, tokenizer, metadata);  // llama.cpp puts [CLS] and [SEP] around all texts of a WordPiece model
}

}  // namespace lathe
