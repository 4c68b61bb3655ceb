#include "lathe/tokenize/trained.h"

#include <algorithm>

#include "lathe/base/error.h"
#include "lathe/base/numbers.h"
#include "lathe/tokenize/json_text.h"
#include "lathe/tokenize/pipeline_json.h"

namespace lathe::tokenize {
namespace {

constexpr const char* kByteLevel =
    R"({"type":"ByteLevel","add_prefix_space":false,"trim_offsets":true,"use_regex":true})";
constexpr const char* kCl100k =
    R"({"type":"Sequence","pretokenizers":[{"type":"Split","pattern":{"Regex":"(?i:'s|'t|'re|'ve|'m|'ll|'d)|)"
    R"([^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"},)"
    R"("behavior":"Isolated","invert":false},)"
    R"({"type":"ByteLevel","add_prefix_space":false,"trim_offsets":true,"use_regex":false}]})";

constexpr const char* kMetaspace = R"({"type":"Metaspace","replacement":"▁","prepend_scheme":"always","split":true})";
constexpr const char* kNmtAndNfkc = R"({"type":"Sequence","normalizers":[{"type":"Nmt"},{"type":"NFKC"},)"
                                    R"({"type":"Replace","pattern":{"Regex":" {2,}"},"content":" "}]})";
constexpr const char* kBert = R"({"type":"BertNormalizer","clean_text":true,"handle_chinese_chars":true,)"
                              R"("strip_accents":null,"lowercase":true})";
constexpr const char* kCasedBert = R"({"type":"BertNormalizer","clean_text":true,"handle_chinese_chars":true,)"
                                   R"("strip_accents":null,"lowercase":false})";

/// The parts of the file that depend on the kind only.
struct Form {
  const char* pre_tokenizer;
  const char* decoder;
  const char* suffix;
  const char* normalizer = "null";
};

Form form_of(TokenizerKind kind, bool lower_case) {
  switch (kind) {
    case TokenizerKind::wordpiece:
      return {R"({"type":"BertPreTokenizer"})", R"({"type":"WordPiece","prefix":"##","cleanup":true})", "null",
              lower_case ? kBert : kCasedBert};
    case TokenizerKind::unigram:
      return {kMetaspace, kMetaspace, "null", kNmtAndNfkc};
    case TokenizerKind::gpt2:
      return {kByteLevel, kByteLevel, "null"};
    case TokenizerKind::cl100k:
      return {kCl100k, kByteLevel, "null"};
    case TokenizerKind::words_bpe:
      return {R"({"type":"WhitespaceSplit"})", R"({"type":"BPEDecoder","suffix":"</w>"})", R"("</w>")"};
    case TokenizerKind::words:
      return {R"({"type":"Whitespace"})", "null", "null"};
    default:
      return {"null", R"({"type":"Fuse"})", "null"};
  }
}

std::string added_json(const std::vector<std::string>& special_tokens) {
  std::string json;
  for (size_t id = 0; id < special_tokens.size(); ++id) {
    json += text(id ? ",\n" : "\n", "    {\"id\":", id, ",\"content\":", json_quoted(special_tokens[id]),
                 R"(,"single_word":false,"lstrip":false,"rstrip":false,"normalized":false,"special":true})");
  }
  return json;
}

std::string vocabulary_json(const std::vector<std::string>& tokens) {
  std::string json;
  for (size_t id = 0; id < tokens.size(); ++id) {
    json += (id ? ",\n      " : "\n      ") + json_quoted(tokens[id]) + ": " + std::to_string(id);
  }
  return json;
}

std::string merges_json(const Trained& trained) {
  std::string json;
  for (const auto& [left, right] : trained.merges) {
    json += (json.empty() ? "\n      " : ",\n      ") + json_quoted(trained.tokens[left] + ' ' + trained.tokens[right]);
  }
  return json;
}

std::string pieces_json(const Trained& trained) {
  std::string json;
  for (size_t id = 0; id < trained.tokens.size(); ++id) {
    json += text(id ? ",\n      [" : "\n      [", json_quoted(trained.tokens[id]), ", ",
                 format_float(trained.scores[id]), ']');
  }
  return json;
}

/// [CLS] and [SEP] around texts where wordpiece has them; null otherwise.
std::string template_json(const Trained& trained) {
  const auto id_of = [&](const char* token) {
    return std::find(trained.special_tokens.begin(), trained.special_tokens.end(), token) -
           trained.special_tokens.begin();
  };
  const auto cls = id_of("[CLS]"), sep = id_of("[SEP]"), end = std::ssize(trained.special_tokens);
  if (trained.kind != TokenizerKind::wordpiece || cls == end || sep == end) return "null";
  return text(R"({"type":"BertProcessing","sep":["[SEP]",)", sep, R"(],"cls":["[CLS]",)", cls, "]}");
}

std::string model_json(const Trained& trained) {
  const char* unknown_token = unknown_token_of(trained.kind);
  if (trained.kind == TokenizerKind::unigram) {
    const auto unknown = std::find(trained.tokens.begin(), trained.tokens.end(), unknown_token);
    return text("{\n    \"type\": \"Unigram\",\n    \"unk_id\": ", unknown - trained.tokens.begin(),
                ",\n    \"byte_fallback\": false,\n    \"vocab\": [", pieces_json(trained), "\n    ]\n  }");
  }
  const std::string vocabulary = vocabulary_json(trained.tokens);
  if (trained.kind == TokenizerKind::wordpiece) {
    return text("{\n    \"type\": \"WordPiece\",\n    \"unk_token\": ", json_quoted(unknown_token),
                ",\n    \"continuing_subword_prefix\": ", json_quoted(kInsidePrefix),
                ",\n    \"max_input_chars_per_word\": 100,\n    \"vocab\": {", vocabulary, "\n    }\n  }");
  }
  if (trained.kind == TokenizerKind::words) {
    return text("{\n    \"type\": \"WordLevel\",\n    \"vocab\": {", vocabulary,
                "\n    },\n    \"unk_token\": ", json_quoted(unknown_token), "\n  }");
  }
  const std::string unknown = is_byte_level(trained.kind) ? "null" : json_quoted(unknown_token);
  return text(
      "{\n    \"type\": \"BPE\",\n    \"dropout\": null,\n    \"unk_token\": ", unknown,
      ",\n    \"continuing_subword_prefix\": null,\n    \"end_of_word_suffix\": ", form_of(trained.kind, true).suffix,
      ",\n    \"fuse_unk\": false,\n    \"byte_fallback\": false,\n    \"ignore_merges\": false,\n    \"vocab\": {",
      vocabulary, "\n    },\n    \"merges\": [", merges_json(trained), "]\n  }");
}

}  // namespace

std::unique_ptr<Splitter> training_splitter(TokenizerKind kind) {
  if (kind == TokenizerKind::gpt2) return gpt2_splitter();
  if (kind == TokenizerKind::cl100k) return cl100k_splitter(3);
  if (kind == TokenizerKind::words_bpe) return whitespace_splitter();
  if (kind == TokenizerKind::words) return word_splitter();
  if (kind == TokenizerKind::wordpiece || kind == TokenizerKind::unigram) return nullptr;
  return character_splitter();
}

std::unique_ptr<TextEncoder> training_pipeline(TokenizerKind kind, bool lower_case) {
  const Form form = form_of(kind, lower_case);
  const std::string json = text("{\"normalizer\":", form.normalizer, ",\"pre_tokenizer\":", form.pre_tokenizer, '}');
  simdjson::dom::parser parser;
  Pipeline pipeline = read_pipeline(parse_json(parser, json, "the trained tokenizer.json"));
  auto encoder = std::make_unique<TextEncoder>();
  encoder->normalizer = std::move(pipeline.normalizer);
  encoder->steps = std::move(pipeline.steps);
  return encoder;
}

std::string trained_json(const Trained& trained) {
  const Form form = form_of(trained.kind, trained.lower_case);
  return text("{\n  \"version\": \"1.0\",\n  \"truncation\": null,\n  \"padding\": null,\n  \"added_tokens\": [",
              added_json(trained.special_tokens), "],\n  \"normalizer\": ", form.normalizer,
              ",\n  \"pre_tokenizer\": ", form.pre_tokenizer, ",\n  \"post_processor\": ", template_json(trained),
              ",\n  \"decoder\": ", form.decoder, ",\n  \"model\": ", model_json(trained), "\n}\n");
}

}  // namespace lathe::tokenize
