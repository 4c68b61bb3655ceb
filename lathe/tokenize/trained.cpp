#include "lathe/tokenize/trained.h"

#include <algorithm>

#include "lathe/base/error.h"
#include "lathe/tokenize/json_text.h"

namespace lathe::tokenize {
namespace {

constexpr const char* kByteLevel =
    R"({"type":"ByteLevel","add_prefix_space":false,"trim_offsets":true,"use_regex":true})";
constexpr const char* kCl100k =
    R"({"type":"Sequence","pretokenizers":[{"type":"Split","pattern":{"Regex":"(?i:'s|'t|'re|'ve|'m|'ll|'d)|)"
    R"([^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"},)"
    R"("behavior":"Isolated","invert":false},)"
    R"({"type":"ByteLevel","add_prefix_space":false,"trim_offsets":true,"use_regex":false}]})";

/// The parts of the file that depend on the kind only.
struct Form {
  const char* pre_tokenizer;
  const char* decoder;
  const char* suffix;
};

Form form_of(TokenizerKind kind) {
  switch (kind) {
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

std::string model_json(const Trained& trained) {
  const std::string vocabulary = vocabulary_json(trained.tokens);
  if (trained.kind == TokenizerKind::words) {
    return text("{\n    \"type\": \"WordLevel\",\n    \"vocab\": {", vocabulary,
                "\n    },\n    \"unk_token\": ", json_quoted(kUnknownToken), "\n  }");
  }
  const std::string unknown = is_byte_level(trained.kind) ? "null" : json_quoted(kUnknownToken);
  return text(
      "{\n    \"type\": \"BPE\",\n    \"dropout\": null,\n    \"unk_token\": ", unknown,
      ",\n    \"continuing_subword_prefix\": null,\n    \"end_of_word_suffix\": ", form_of(trained.kind).suffix,
      ",\n    \"fuse_unk\": false,\n    \"byte_fallback\": false,\n    \"ignore_merges\": false,\n    \"vocab\": {",
      vocabulary, "\n    },\n    \"merges\": [", merges_json(trained), "]\n  }");
}

}  // namespace

std::unique_ptr<Splitter> training_splitter(TokenizerKind kind) {
  if (kind == TokenizerKind::gpt2) return gpt2_splitter();
  if (kind == TokenizerKind::cl100k) return cl100k_splitter(3);
  if (kind == TokenizerKind::words_bpe) return whitespace_splitter();
  if (kind == TokenizerKind::words) return word_splitter();
  return character_splitter();
}

std::string trained_json(const Trained& trained) {
  const Form form = form_of(trained.kind);
  return text("{\n  \"version\": \"1.0\",\n  \"truncation\": null,\n  \"padding\": null,\n  \"added_tokens\": [",
              added_json(trained.special_tokens),
              "],\n  \"normalizer\": null,\n  \"pre_tokenizer\": ", form.pre_tokenizer,
              ",\n  \"post_processor\": null,\n  \"decoder\": ", form.decoder, ",\n  \"model\": ", model_json(trained),
              "\n}\n");
}

}  // namespace lathe::tokenize
