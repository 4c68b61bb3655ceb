#include "lathe/tokenize/skeletons.h"

#include <algorithm>

#include "lathe/base/base64.h"
#include "lathe/base/error.h"
#include "lathe/tokenize/json_text.h"

namespace lathe::tokenize {
namespace {

constexpr const char* kMark = "\xE2\x96\x81";
constexpr const char* kBytes = R"({"type":"ByteLevel","add_prefix_space":false,"trim_offsets":true,"use_regex":false})";
constexpr const char* kBytesDecoder =
    R"({"type":"ByteLevel","add_prefix_space":true,"trim_offsets":true,"use_regex":true})";

std::string flag(bool value) { return value ? "true" : "false"; }

std::string added_json(const std::vector<AddedToken>& added) {
  std::string json;
  for (const AddedToken& token : added) {
    json += text(json.empty() ? "" : ",\n", "{\"id\":", token.id, ",\"content\":", json_quoted(token.content),
                 ",\"single_word\":", flag(token.single_word), ",\"lstrip\":", flag(token.lstrip),
                 ",\"rstrip\":", flag(token.rstrip), ",\"normalized\":", flag(token.normalized),
                 ",\"special\":", flag(token.special), '}');
  }
  return json;
}

/// A TemplateProcessing that puts tokens around each text; null when there are none.
std::string template_json(const std::vector<TokenId>& before, const std::vector<TokenId>& after,
                          const std::vector<AddedToken>& added, const Vocabulary& vocabulary) {
  if (before.empty() && after.empty()) return "null";
  std::string named;
  const auto pieces = [&](const char* sequence, int type) {
    std::string list;
    const auto add = [&](TokenId id) {
      const auto one =
          std::find_if(added.begin(), added.end(), [&](const AddedToken& token) { return token.id == id; });
      const std::string quoted = json_quoted(one == added.end() ? vocabulary.spelling(id) : one->content);
      list += text(list.empty() ? "" : ",", "{\"SpecialToken\":{\"id\":", quoted, ",\"type_id\":", type, "}}");
      const std::string entry = text(quoted, ":{\"id\":", quoted, ",\"ids\":[", id, "],\"tokens\":[", quoted, "]}");
      if (named.find(entry) == std::string::npos) named += (named.empty() ? "" : ",") + entry;
    };
    for (const TokenId id : before) add(id);
    list += text(list.empty() ? "" : ",", "{\"Sequence\":{\"id\":\"", sequence, "\",\"type_id\":", type, "}}");
    for (const TokenId id : after) add(id);
    return list;
  };
  const std::string first = pieces("A", 0), second = pieces("B", 1);
  return text("{\"type\":\"TemplateProcessing\",\"single\":[", first, "],\"pair\":[", first, ',', second,
              "],\"special_tokens\":{", named, "}}");
}

std::string head(const std::vector<AddedToken>& added) {
  return text("{\"version\":\"1.0\",\"truncation\":null,\"padding\":null,\"added_tokens\":[", added_json(added),
              "],\n");
}

bool has_capitals(const Vocabulary& vocabulary) {
  for (TokenId id = 0; id < vocabulary.size(); ++id) {
    const std::string_view spelling = vocabulary.spelling(id);
    if (!spelling.empty() && spelling[0] == '[') continue;
    for (const char c : spelling) {
      if (c >= 'A' && c <= 'Z') return true;
    }
  }
  return false;
}

/// Whether the mark of a space stands at the beginning of pieces only.
bool marks_only_begin(const Vocabulary& vocabulary) {
  for (TokenId id = 0; id < vocabulary.size(); ++id) {
    if (vocabulary.spelling(id).find(kMark, 1) != std::string::npos) return false;
  }
  return true;
}

std::string sentencepiece_normalizer(const SentencePieceOptions& options) {
  std::string steps;
  const auto add = [&](const std::string& step) { steps += (steps.empty() ? "" : ",") + step; };
  if (!options.charsmap.empty()) {
    add(text(R"({"type":"Precompiled","precompiled_charsmap":")", base64_encoded(options.charsmap),
             R"(","longest_match":true})"));
  }
  if (options.remove_extra_whitespaces) {
    add(R"({"type":"Replace","pattern":{"Regex":"\\A +| +\\z"},"content":""})");
    add(R"({"type":"Replace","pattern":{"Regex":" {2,}"},"content":" "})");
  }
  const bool marked_later = !options.prepend_scheme.empty();
  if (marked_later) return R"({"type":"Sequence","normalizers":[)" + steps + "]}";
  if (options.add_dummy_prefix) add(text(R"({"type":"Prepend","prepend":")", kMark, "\"}"));
  add(text(R"({"type":"Replace","pattern":{"String":" "},"content":")", kMark, "\"}"));
  return R"({"type":"Sequence","normalizers":[)" + steps + "]}";
}

std::string sentencepiece_decoder(const SentencePieceOptions& options) {
  std::string steps = text(R"({"type":"Replace","pattern":{"String":")", kMark, R"("},"content":" "})");
  if (options.byte_fallback) steps += R"(,{"type":"ByteFallback"})";
  steps += R"(,{"type":"Fuse"})";
  if (options.add_dummy_prefix) steps += R"(,{"type":"Strip","content":" ","start":1,"stop":0})";
  return R"({"type":"Sequence","decoders":[)" + steps + "]}";
}

}  // namespace

std::string word_piece_skeleton(const Vocabulary& vocabulary, const WordPieceOptions& options) {
  std::vector<AddedToken> added = options.added;
  if (added.empty()) {
    for (const char* token : {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"})
      if (const auto id = vocabulary.id(token)) added.push_back({.content = token, .id = *id, .special = true});
  }
  const auto begin = vocabulary.id(options.begin), end = vocabulary.id(options.end);
  std::string post = "null";
  if (begin && end) {
    post = text(R"({"type":"BertProcessing","sep":[)", json_quoted(options.end), ',', *end, R"(],"cls":[)",
                json_quoted(options.begin), ',', *begin, "]}");
  }
  return text(head(added), R"("normalizer":{"type":"BertNormalizer","clean_text":true,"handle_chinese_chars":)",
              flag(options.split_chinese), R"(,"strip_accents":)",
              options.strip_accents ? flag(*options.strip_accents) : "null", R"(,"lowercase":)",
              flag(options.lowercase.value_or(!has_capitals(vocabulary))),
              R"(},"pre_tokenizer":{"type":"BertPreTokenizer"},"post_processor":)", post,
              R"(,"decoder":{"type":"WordPiece","prefix":"##","cleanup":true},)",
              R"("model":{"type":"WordPiece","unk_token":)", json_quoted(options.unknown),
              R"(,"continuing_subword_prefix":"##","max_input_chars_per_word":100}})");
}

std::string sentencepiece_skeleton(const SentencePieceOptions& options, const Vocabulary& vocabulary) {
  const std::string unknown = options.unknown ? json_quoted(vocabulary.spelling(*options.unknown)) : "null";
  const bool splits = options.unigram && marks_only_begin(vocabulary);
  std::string pre_tokenizer = "null";
  if (splits)
    pre_tokenizer =
        text(R"({"type":"Split","pattern":{"String":")", kMark, R"("},"behavior":"MergedWithNext","invert":false})");
  if (!options.prepend_scheme.empty())
    pre_tokenizer = text(R"({"type":"Metaspace","replacement":")", kMark, R"(","prepend_scheme":")",
                         options.prepend_scheme, R"(","split":)", flag(splits), '}');
  const std::string model =
      options.unigram
          ? text(R"({"type":"Unigram","unk_id":)", options.unknown ? std::to_string(*options.unknown) : "null",
                 ",\"byte_fallback\":", flag(options.byte_fallback))
          : text(R"({"type":"BPE","dropout":null,"unk_token":)", unknown,
                 R"(,"continuing_subword_prefix":null,"end_of_word_suffix":null,"fuse_unk":true,"byte_fallback":)",
                 flag(options.byte_fallback), ",\"ignore_merges\":false");
  return text(head(options.added), "\"normalizer\":", sentencepiece_normalizer(options),
              ",\n\"pre_tokenizer\":", pre_tokenizer,
              ",\n\"post_processor\":", template_json(options.before, options.after, options.added, vocabulary),
              ",\n\"decoder\":", sentencepiece_decoder(options), ",\n\"model\":", model, "}}");
}

std::string roberta_processor(const Vocabulary& vocabulary, const std::string& begin, const std::string& end,
                              bool add_prefix_space) {
  const auto first = vocabulary.id(begin), last = vocabulary.id(end);
  require(first && last, "the vocabulary has no ", first ? end : begin, ", which texts ", first ? "end" : "begin",
          " with");
  return text(R"({"type":"RobertaProcessing","sep":[)", json_quoted(end), ',', *last, R"(],"cls":[)",
              json_quoted(begin), ',', *first, R"(],"trim_offsets":true,"add_prefix_space":)", flag(add_prefix_space),
              '}');
}

std::string byte_level_skeleton(const ByteLevelOptions& options, const Vocabulary& vocabulary) {
  const std::string post = options.post_processor.empty()
                               ? template_json(options.before, options.after, options.added, vocabulary)
                               : options.post_processor;
  return text(head(options.added), "\"normalizer\":", options.normalizer,
              ",\n\"pre_tokenizer\":", options.pre_tokenizer, ",\n\"post_processor\":", post,
              ",\n\"decoder\":", kBytesDecoder,
              R"(,"model":{"type":"BPE","dropout":null,"unk_token":null,"continuing_subword_prefix":null,)",
              R"("end_of_word_suffix":null,"fuse_unk":false,"byte_fallback":false,"ignore_merges":)",
              flag(options.whole_words_first), "}}");
}

std::string split_then_bytes(const std::vector<std::string>& expressions) {
  std::string steps;
  for (const std::string& expression : expressions) {
    steps += text(R"({"type":"Split","pattern":{"Regex":)", json_quoted(expression),
                  R"(},"behavior":"Isolated","invert":false},)");
  }
  return R"({"type":"Sequence","pretokenizers":[)" + steps + kBytes + "]}";
}

std::string cl100k_expression(int digits) {
  const std::string numbers = digits == 1 ? R"(\p{N})" : text(R"(\p{N}{1,)", digits, '}');
  return R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|)" + numbers +
         R"(| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
}

}  // namespace lathe::tokenize
