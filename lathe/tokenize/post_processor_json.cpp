#include "lathe/base/error.h"
#include "lathe/tokenize/pipeline_json.h"

namespace lathe::tokenize {
namespace {

constexpr uint64_t kLongest = uint64_t{1} << 24;  // tokens that a file may ask for

TokenId known_id(const std::string& place, std::string_view token, const Tokenizer::Parts& parts) {
  const auto id = parts.vocabulary.id(token);
  require(id.has_value(), place, " names the token '", token, "', which is neither in the vocabulary nor added");
  return *id;
}

uint32_t type_of(const JsonFields& fields) {
  const uint64_t type = fields.find("type_id") ? fields.number("type_id") : 0;
  require(type < 256, fields.place("type_id"), " ", type, " is beyond 255");
  return static_cast<uint32_t>(type);
}

/// A token of a template, which special_tokens may give several ids.
void read_special(const JsonFields& token, const JsonFields& processor, const Tokenizer::Parts& parts,
                  std::vector<TemplatePiece>& pieces) {
  const std::string_view name = token.text("id");
  const auto all = processor.object("special_tokens");
  const auto named = all ? all->object(name) : std::nullopt;
  if (!named || !named->find("ids")) {
    pieces.push_back({-1, known_id(token.place(), name, parts), type_of(token)});
    return;
  }
  for (const simdjson::dom::element element : named->array("ids")) {
    uint64_t id = 0;
    require(element.get(id) == simdjson::SUCCESS && id < parts.vocabulary.size(), named->place("ids"), " of '", name,
            "' holds what is no id of the vocabulary of ", parts.vocabulary.size());
    pieces.push_back({-1, static_cast<TokenId>(id), type_of(token)});
  }
}

std::vector<TemplatePiece> read_template(const JsonFields& fields, std::string_view key,
                                         const Tokenizer::Parts& parts) {
  std::vector<TemplatePiece> pieces;
  size_t i = 0;
  for (const simdjson::dom::element element : fields.array(key)) {
    const JsonFields piece(element, fields.place(key) + '[' + std::to_string(i++) + ']');
    if (const auto token = piece.object("SpecialToken")) {
      read_special(*token, fields, parts, pieces);
      continue;
    }
    const auto sequence = piece.object("Sequence");
    require(sequence.has_value(), piece.place(), " is neither a SpecialToken nor a Sequence");
    const std::string_view name = sequence->text("id");
    require(name == "A" || (name == "B" && key == "pair"), sequence->place("id"), " '", name, "' is not possible here");
    pieces.push_back({name == "A" ? 0 : 1, 0, type_of(*sequence)});
  }
  return pieces;
}

/// ["</s>", 2]
TokenId named_token(const JsonFields& fields, std::string_view key, const Tokenizer::Parts& parts) {
  const simdjson::dom::array pair = fields.array(key);
  require(pair.size() == 2, fields.place(key), " must be a token and its id");
  return known_id(fields.place(), json_text(pair.at(0), fields.place(key)), parts);
}

void read_bert_or_roberta(const JsonFields& fields, bool roberta, Tokenizer::Parts& parts) {
  const TokenId begin = named_token(fields, "cls", parts), end = named_token(fields, "sep", parts);
  PostProcessor& post = parts.post;
  const uint32_t second = roberta ? 0 : 1;
  post.single = {{-1, begin, 0}, {0, 0, 0}, {-1, end, 0}};
  post.pair = post.single;
  if (roberta) post.pair.push_back({-1, end, 0});
  post.pair.push_back({1, 0, second});
  post.pair.push_back({-1, end, second});
  if (roberta) post.trims_spans = fields.flag("trim_offsets", true);
}

Side side_of(const JsonFields& fields) {
  const std::string_view name = fields.text("direction", "Right");
  require(name == "Left" || name == "Right", fields.place("direction"), " '", name, "' is neither Left nor Right");
  return name == "Left" ? Side::left : Side::right;
}

int64_t length_of(const JsonFields& fields, std::string_view key) {
  const uint64_t length = fields.number(key);
  require(length <= kLongest, fields.place(key), " ", length, " is beyond ", kLongest);
  return static_cast<int64_t>(length);
}

Truncation read_truncation(const JsonFields& fields) {
  Truncation truncation;
  truncation.max_length = length_of(fields, "max_length");
  truncation.direction = side_of(fields);
  const std::string_view strategy = fields.text("strategy", "LongestFirst");
  if (strategy == "OnlyFirst") truncation.strategy = TruncationStrategy::only_first;
  if (strategy == "OnlySecond") truncation.strategy = TruncationStrategy::only_second;
  require(strategy == "LongestFirst" || truncation.strategy != TruncationStrategy::longest_first,
          fields.place("strategy"), " '", strategy, "' is none of LongestFirst, OnlyFirst and OnlySecond");
  return truncation;
}

Padding read_padding(const JsonFields& fields, const Tokenizer::Parts& parts) {
  Padding padding;
  const auto strategy = fields.find("strategy");
  require(strategy.has_value(), fields.place("strategy"), " is missing");
  if (strategy->is_object()) padding.fixed_length = length_of(*fields.object("strategy"), "Fixed");
  if (fields.find("pad_to_multiple_of")) padding.multiple = length_of(fields, "pad_to_multiple_of");
  padding.direction = side_of(fields);
  const uint64_t id = fields.find("pad_id") ? fields.number("pad_id") : 0;
  require(id < parts.vocabulary.size(), fields.place("pad_id"), " ", id, " is beyond the vocabulary of ",
          parts.vocabulary.size());
  padding.id = static_cast<TokenId>(id);
  padding.type_id = fields.find("pad_type_id") ? static_cast<uint32_t>(fields.number("pad_type_id") & 0xFF) : 0;
  return padding;
}

}  // namespace

void read_post_processor(const JsonFields& file, Tokenizer::Parts& parts) {
  if (const auto truncation = file.object("truncation")) parts.post.truncation = read_truncation(*truncation);
  if (const auto padding = file.object("padding")) parts.post.padding = read_padding(*padding, parts);
  const auto post_processor = file.object("post_processor");
  if (!post_processor) return;
  for (const JsonFields& fields : pipeline_members(*post_processor, "processors")) {
    const std::string_view type = fields.type();
    if (type == "TemplateProcessing") {
      parts.post.single = read_template(fields, "single", parts);
      if (fields.find("pair")) parts.post.pair = read_template(fields, "pair", parts);
    } else if (type == "RobertaProcessing" || type == "BertProcessing") {
      read_bert_or_roberta(fields, type == "RobertaProcessing", parts);
    } else {
      require(type == "ByteLevel", fields.place(), " '", type, "' is not supported");
      parts.post.trims_spans = fields.flag("trim_offsets", true);
    }
  }
}

}  // namespace lathe::tokenize
