// vocab.txt of BERT; vocab.json and merges.txt of GPT-2.
#include "lathe/base/error.h"
#include "lathe/base/utf8.h"
#include "lathe/tokenize/json_text.h"
#include "lathe/tokenize/model_json.h"
#include "lathe/tokenize/skeletons.h"
#include "lathe/tokenize/tokenizer_files.h"

namespace lathe::tokenize {
namespace {

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

}  // namespace

std::unique_ptr<Tokenizer::Parts> read_word_pieces(std::string_view lines, const std::string& name) {
  require(valid_utf8(lines), name, " is no vocab.txt: it is not UTF-8");
  ModelTables tables;
  uint64_t id = 0;
  each_line(lines, [&](std::string_view line) {
    if (!line.empty() && !tables.vocabulary.id(line)) tables.vocabulary.add(line, id);
    ++id;
  });
  for (const char* token : {"[UNK]", "[CLS]", "[SEP]"}) {
    require(tables.vocabulary.id(token).has_value(), name, " is no vocab.txt of a BERT: a line ", token, " is missing");
  }
  std::string skeleton = word_piece_skeleton(tables.vocabulary);
  return read_skeleton(std::move(skeleton), std::move(tables), name);
}

std::unique_ptr<Tokenizer::Parts> read_vocabulary_and_merges(std::string_view vocabulary_json, std::string_view merges,
                                                             const std::string& name) {
  simdjson::dom::parser parser;
  const JsonFields vocabulary = parse_json(parser, vocabulary_json, name);
  std::string rules;
  each_line(merges, [&](std::string_view line) {
    if (line.empty() || line.substr(0, 9) == "#version:") return;
    rules += (rules.empty() ? "" : ",") + json_quoted(line);
  });
  std::string added;
  uint64_t id = 0;
  if (vocabulary.all().at_key("<|endoftext|>").get(id) == simdjson::SUCCESS) {
    added = text("{\"id\":", id, R"(,"content":"<|endoftext|>","special":true,"normalized":false})");
  }
  return read_tokenizer_json(
      text(R"({"version":"1.0","truncation":null,"padding":null,"added_tokens":[)", added,
           R"(],"normalizer":null,"pre_tokenizer":{"type":"ByteLevel","add_prefix_space":false,"trim_offsets":true,)",
           R"("use_regex":true},"post_processor":null,"decoder":{"type":"ByteLevel","add_prefix_space":true,)",
           R"("trim_offsets":true,"use_regex":true},"model":{"type":"BPE","dropout":null,"unk_token":null,)",
           R"("continuing_subword_prefix":null,"end_of_word_suffix":null,"fuse_unk":false,"byte_fallback":false,)",
           R"("vocab":)", vocabulary_json, R"(,"merges":[)", rules, "]}}"),
      name);
}

}  // namespace lathe::tokenize
