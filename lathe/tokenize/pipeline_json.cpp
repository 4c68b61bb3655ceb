#include "lathe/tokenize/pipeline_json.h"

#include "lathe/base/error.h"
#include "lathe/tokenize/byte_alphabet.h"

namespace lathe::tokenize {
namespace {

/// The members of a Sequence, or the thing itself.
std::vector<JsonFields> members(const JsonFields& fields, std::string_view list) {
  if (fields.type() != "Sequence") return {fields};
  std::vector<JsonFields> all;
  size_t i = 0;
  for (const simdjson::dom::element element : fields.array(list)) {
    const JsonFields member(element, fields.place(list) + '[' + std::to_string(i++) + ']');
    require(member.type() != "Sequence", member.place(), ": a Sequence inside a Sequence is not supported");
    all.push_back(member);
  }
  return all;
}

void read_normalizer(const JsonFields& file, Pipeline& pipeline) {
  const auto normalizer = file.object("normalizer");
  if (!normalizer) return;
  for (const JsonFields& fields : members(*normalizer, "normalizers")) {
    require(fields.type() == "NFC", fields.place(), " '", fields.type(), "' is not supported; NFC and none are");
    pipeline.compose = true;
    pipeline.settings += "NFC\n";
  }
}

/// Hugging Face's Split. "Removed" and inverted keeps the matches only: files use it where matches cover all text.
std::unique_ptr<Splitter> read_split(const JsonFields& fields, std::string& settings) {
  const std::string_view behavior = fields.text("behavior");
  const bool invert = fields.flag("invert", false);
  require((behavior == "Isolated" && !invert) || (behavior == "Removed" && invert), fields.place(), ": Split with '",
          behavior, invert ? "' inverted" : "'", " is not supported; Isolated is");
  const auto pattern = fields.object("pattern");
  require(pattern && pattern->find("Regex"), fields.place("pattern"), ".Regex is missing: only those are supported");
  settings += text("Split ", pattern->text("Regex"), '\n');
  try {
    return regex_splitter(std::string(pattern->text("Regex")));
  } catch (const Error& error) {
    throw Error(text(fields.place(), ": ", error.what()));
  }
}

void read_byte_level(const JsonFields& fields, bool first, std::vector<std::unique_ptr<Splitter>>& splitters,
                     Pipeline& pipeline) {
  pipeline.bytes = true;
  pipeline.space_in_front = fields.flag("add_prefix_space", true);
  require(first || !pipeline.space_in_front, fields.place("add_prefix_space"),
          " behind another pre-tokenizer is not supported");
  const bool split = fields.flag("use_regex", true);
  if (split) splitters.push_back(gpt2_splitter());
  pipeline.settings += text("ByteLevel ", pipeline.space_in_front, split, '\n');
}

void read_pre_tokenizer(const JsonFields& file, Pipeline& pipeline) {
  std::vector<std::unique_ptr<Splitter>> splitters;
  const auto pre_tokenizer = file.object("pre_tokenizer");
  bool first = true;
  for (const JsonFields& fields :
       pre_tokenizer ? members(*pre_tokenizer, "pretokenizers") : std::vector<JsonFields>()) {
    const std::string_view type = fields.type();
    require(!pipeline.bytes, fields.place(), ": '", type, "' behind ByteLevel is not supported");
    if (type == "ByteLevel") {
      read_byte_level(fields, first, splitters, pipeline);
    } else if (type == "Split") {
      splitters.push_back(read_split(fields, pipeline.settings));
    } else if (type == "Digits") {
      splitters.push_back(digit_splitter(fields.flag("individual_digits", false)));
      pipeline.settings += text("Digits ", fields.flag("individual_digits", false), '\n');
    } else {
      require(type == "Whitespace" || type == "WhitespaceSplit", fields.place(), " '", type,
              "' is not supported; ByteLevel, Split, Digits, Whitespace and WhitespaceSplit are");
      splitters.push_back(type == "Whitespace" ? word_splitter() : whitespace_splitter());
      pipeline.settings += text(type, '\n');
    }
    first = false;
  }
  if (splitters.empty()) splitters.push_back(no_splitter());
  pipeline.splitter = splitters.size() == 1 ? std::move(splitters[0]) : splitter_sequence(std::move(splitters));
}

void read_decoder(const JsonFields& file, Pipeline& pipeline) {
  const auto decoder = file.object("decoder");
  if (!decoder) return;
  for (const JsonFields& fields : members(*decoder, "decoders")) {
    const std::string_view type = fields.type();
    require(type == "ByteLevel" || type == "Fuse" || type == "BPEDecoder", fields.place(), " '", type,
            "' is not supported; ByteLevel, BPEDecoder, Fuse and none are");
    if (type == "ByteLevel") pipeline.decoder = Decoder::bytes;
    if (type == "Fuse" && pipeline.decoder == Decoder::join_by_spaces) pipeline.decoder = Decoder::plain;
    if (type != "BPEDecoder") continue;
    pipeline.decoder = Decoder::word_ends;
    pipeline.word_end = fields.text("suffix", "</w>");
  }
}

TokenId known_id(const JsonFields& place, std::string_view token, const Tokenizer::Parts& parts) {
  const auto id = parts.vocabulary.id(token);
  require(id.has_value(), place.place(), " names the token '", token,
          "', which is neither in the vocabulary nor added");
  return *id;
}

/// "single" of a TemplateProcessing: tokens before and behind the sequence A.
void read_template_processing(const JsonFields& fields, Tokenizer::Parts& parts) {
  bool behind = false;
  size_t i = 0;
  for (const simdjson::dom::element element : fields.array("single")) {
    const JsonFields piece(element, fields.place("single") + '[' + std::to_string(i++) + ']');
    if (const auto token = piece.object("SpecialToken")) {
      (behind ? parts.after : parts.before).push_back(known_id(*token, token->text("id"), parts));
    } else {
      require(piece.find("Sequence").has_value(), piece.place(), " is neither a SpecialToken nor a Sequence");
      behind = true;
    }
  }
}

/// ["</s>", 2]
TokenId named_token(const JsonFields& fields, std::string_view key, const Tokenizer::Parts& parts) {
  const simdjson::dom::array pair = fields.array(key);
  require(pair.size() == 2, fields.place(key), " must be a token and its id");
  return known_id(fields, json_text(pair.at(0), fields.place(key)), parts);
}

}  // namespace

Pipeline read_pipeline(const JsonFields& file) {
  Pipeline pipeline;
  read_normalizer(file, pipeline);
  read_pre_tokenizer(file, pipeline);
  read_decoder(file, pipeline);
  return pipeline;
}

void read_template(const JsonFields& file, Tokenizer::Parts& parts) {
  const auto post_processor = file.object("post_processor");
  if (!post_processor) return;
  for (const JsonFields& fields : members(*post_processor, "processors")) {
    const std::string_view type = fields.type();
    if (type == "TemplateProcessing") {
      read_template_processing(fields, parts);
    } else if (type == "RobertaProcessing" || type == "BertProcessing") {
      parts.before.push_back(named_token(fields, "cls", parts));
      parts.after.push_back(named_token(fields, "sep", parts));
    } else {
      require(type == "ByteLevel", fields.place(), " '", type, "' is not supported");
    }
  }
}

Tokenizer::Parts::Decoded decoded_token(const Pipeline& pipeline, const std::string& spelling) {
  if (pipeline.decoder == Decoder::bytes) return {spelt_bytes(spelling).value_or(spelling), false, false};
  if (pipeline.decoder == Decoder::plain) return {spelling, false, false};
  if (pipeline.decoder == Decoder::join_by_spaces) return {spelling, true, false};
  const std::string& end = pipeline.word_end;
  const bool ends =
      spelling.size() >= end.size() && spelling.compare(spelling.size() - end.size(), end.size(), end) == 0;
  return {spelling.substr(0, spelling.size() - (ends ? end.size() : 0)), ends, false};
}

}  // namespace lathe::tokenize
