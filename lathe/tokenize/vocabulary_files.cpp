// vocab.txt of BERT; vocab.json and merges.txt of GPT-2, and of RoBERTa, BART, GPT-NeoX and Qwen 2.
#include <unordered_map>

#include "lathe/base/error.h"
#include "lathe/base/utf8.h"
#include "lathe/tokenize/json_text.h"
#include "lathe/tokenize/model_json.h"
#include "lathe/tokenize/skeletons.h"
#include "lathe/tokenize/tokenizer_files.h"

namespace lathe::tokenize {
namespace {

const std::vector<UsualToken> kOfBert = {{"unk_token", "[UNK]"},
                                         {"sep_token", "[SEP]"},
                                         {"pad_token", "[PAD]"},
                                         {"cls_token", "[CLS]"},
                                         {"mask_token", "[MASK]"}};
const std::vector<UsualToken> kOfRoberta = {{"bos_token", "<s>"},    {"eos_token", "</s>"},  {"unk_token", "<unk>"},
                                            {"sep_token", "</s>"},   {"pad_token", "<pad>"}, {"cls_token", "<s>"},
                                            {"mask_token", "<mask>"}};
const std::vector<UsualToken> kOfGpt2 = {
    {"bos_token", "<|endoftext|>"}, {"eos_token", "<|endoftext|>"}, {"unk_token", "<|endoftext|>"}};
const std::vector<UsualToken> kOfNeoX = {{"bos_token", "<|endoftext|>"},
                                         {"eos_token", "<|endoftext|>"},
                                         {"unk_token", "<|endoftext|>"},
                                         {"pad_token", "<|padding|>"}};
const std::vector<UsualToken> kOfQwen2 = {
    {"eos_token", "<|endoftext|>"}, {"unk_token", "<|endoftext|>"}, {"pad_token", "<|endoftext|>"}};

/// Calls use(line) for each, without its end.
template <class Use>
void each_line(std::string_view text, Use use) {
  while (!text.empty()) {
    std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
    use(line);
  }
}

/// Pieces by line; of those that are there twice the last counts, as in Python's dictionaries.
Vocabulary piece_lines(std::string_view lines) {
  std::unordered_map<std::string_view, uint64_t> last;
  uint64_t id = 0;
  each_line(lines, [&](std::string_view line) { last[line] = id++; });
  Vocabulary vocabulary;
  id = 0;
  each_line(lines, [&](std::string_view line) {
    if (!line.empty() && last[line] == id) vocabulary.add(line, id);
    ++id;
  });
  return vocabulary;
}

ModelTables merged_tables(std::string_view vocabulary_json, std::string_view merges, const std::string& name) {
  std::string rules;
  each_line(merges, [&](std::string_view line) {
    if (line.empty() || line.substr(0, 9) == "#version:") return;
    rules += (rules.empty() ? "" : ",") + json_quoted(line);
  });
  simdjson::dom::parser own, parser;
  parse_json(own, vocabulary_json, name);
  return read_model_tables(
      parse_json(parser, text(R"({"type":"BPE","vocab":)", vocabulary_json, R"(,"merges":[)", rules, "]}"), name));
}

bool is_roberta(const std::string& tokenizer_class) {
  return tokenizer_class == "Roberta" || tokenizer_class == "Bart" || tokenizer_class == "Longformer";
}

const std::vector<UsualToken>& usual_tokens(const std::string& tokenizer_class) {
  if (is_roberta(tokenizer_class)) return kOfRoberta;
  if (tokenizer_class == "GPTNeoX") return kOfNeoX;
  return tokenizer_class == "Qwen2" ? kOfQwen2 : kOfGpt2;
}

/// {"type":"ByteLevel",...} that cuts words as GPT-2 does.
std::string gpt2_words(bool add_prefix_space) {
  return text(R"({"type":"ByteLevel","add_prefix_space":)", add_prefix_space ? "true" : "false",
              R"(,"trim_offsets":true,"use_regex":true})");
}

/// The id of a token that goes around texts.
TokenId around(const std::string& spelling, const char* role, const ByteLevelOptions& options,
               const Vocabulary& vocabulary, const std::string& name) {
  for (const AddedToken& token : options.added)
    if (token.content == spelling) return token.id;
  const auto id = vocabulary.id(spelling);
  require(id.has_value(), name, ": texts are to have a ", role, ", but the vocabulary has no \"", spelling, '"');
  return *id;
}

}  // namespace

std::unique_ptr<Tokenizer::Parts> read_word_pieces(std::string_view lines, const std::string& name,
                                                   const VocabularySettings& settings) {
  require(valid_utf8(lines), name, " is no vocab.txt: it is not UTF-8");
  ModelTables tables{piece_lines(lines), {}, {}};
  WordPieceOptions options{.lowercase = settings.do_lower_case,
                           .strip_accents = settings.strip_accents,
                           .split_chinese = settings.tokenize_chinese_chars.value_or(true),
                           .unknown = settings.name("unk_token", "[UNK]"),
                           .begin = settings.name("cls_token", "[CLS]"),
                           .end = settings.name("sep_token", "[SEP]"),
                           .added = added_tokens_of(settings, kOfBert, tables.vocabulary)};
  if (settings.has_config && !options.lowercase) options.lowercase = true;
  for (const std::string& token : {options.unknown, options.begin, options.end})
    require(tables.vocabulary.id(token).has_value(), name, " is no vocab.txt of a BERT: a line ", token, " is missing");
  std::string skeleton = word_piece_skeleton(tables.vocabulary, options);
  auto parts = read_skeleton(std::move(skeleton), std::move(tables), name);
  name_usual_tokens(settings, kOfBert, *parts);
  return parts;
}

std::unique_ptr<Tokenizer::Parts> read_vocabulary_and_merges(std::string_view vocabulary_json, std::string_view merges,
                                                             const std::string& name,
                                                             const VocabularySettings& settings) {
  const std::string& kind = settings.tokenizer_class;
  const std::vector<UsualToken>& usual = usual_tokens(kind);
  const bool prefix = settings.add_prefix_space.value_or(false);
  ModelTables tables = merged_tables(vocabulary_json, merges, name);
  ByteLevelOptions options{.pre_tokenizer =
                               kind == "Qwen2" ? split_then_bytes({cl100k_expression(1)}) : gpt2_words(prefix)};
  options.added = added_tokens_of(settings, usual, tables.vocabulary);
  if (kind == "Qwen2" || kind == "GPTNeoX") options.normalizer = R"({"type":"NFC"})";
  if (is_roberta(kind)) {
    options.post_processor = roberta_processor(tables.vocabulary, settings.name("cls_token", "<s>"),
                                               settings.name("sep_token", "</s>"), prefix);
  } else {
    const auto add = [&](std::optional<bool> wanted, const char* role, std::vector<TokenId>& where) {
      const std::string spelling = settings.name(role, kind == "Qwen2" && role[0] == 'b' ? "" : "<|endoftext|>");
      if (wanted.value_or(false)) where.push_back(around(spelling, role, options, tables.vocabulary, name));
    };
    add(settings.add_bos_token, "bos_token", options.before);
    add(settings.add_eos_token, "eos_token", options.after);
  }
  std::string skeleton = byte_level_skeleton(options, tables.vocabulary);
  auto parts = read_skeleton(std::move(skeleton), std::move(tables), name);
  name_usual_tokens(settings, usual, *parts);
  return parts;
}

}  // namespace lathe::tokenize
