#include "lathe/base/base64.h"
#include "lathe/base/error.h"
#include "lathe/tokenize/pipeline_json.h"

namespace lathe::tokenize {
namespace {

NormalizerPointer read_bert(const JsonFields& fields, std::string& settings) {
  BertCleaning cleaning;
  cleaning.clean = fields.flag("clean_text", true);
  cleaning.chinese_apart = fields.flag("handle_chinese_chars", true);
  cleaning.lower = fields.flag("lowercase", true);
  cleaning.without_accents = fields.flag("strip_accents", cleaning.lower);
  settings += text(cleaning.clean, cleaning.chinese_apart, cleaning.lower, cleaning.without_accents, '\n');
  return bert_cleaning(cleaning);
}

NormalizerPointer read_replace(const JsonFields& fields, std::string& settings) {
  const auto pattern = fields.object("pattern");
  require(pattern.has_value(), fields.place("pattern"), " is missing");
  const std::string with(fields.text("content"));
  const bool literal = pattern->find("String").has_value();
  const std::string what(pattern->text(literal ? "String" : "Regex"));
  settings += text(literal, what, ' ', with, '\n');
  return literal ? replaced(what, with) : replaced_matches(what, with);
}

NormalizerPointer read_precompiled(const JsonFields& fields, std::string& settings) {
  const std::string_view encoded = fields.text("precompiled_charsmap", "");
  // Our own addition, which others ignore: maps of SentencePiece's models are used as SentencePiece does.
  const bool longest = fields.flag("longest_match", false);
  settings += text(encoded, longest, '\n');
  const auto charsmap = base64_decoded(encoded);
  require(charsmap.has_value(), fields.place("precompiled_charsmap"), " is not base64");
  return precompiled(*charsmap, longest ? CharsmapUse::longest_match : CharsmapUse::graphemes);
}

NormalizerPointer read_one(const JsonFields& fields, std::string& settings) {
  const std::string_view type = fields.type();
  settings += text(type, '\n');
  if (type == "NFC") return composed_form();
  if (type == "NFD") return decomposed_form();
  if (type == "NFKC") return compatible_composed();
  if (type == "NFKD") return compatible_decomposed();
  if (type == "Lowercase") return lower_case();
  if (type == "StripAccents") return without_marks();
  if (type == "Nmt") return nmt_cleaning();
  if (type == "ByteLevel") return spelt_in_bytes();
  if (type == "BertNormalizer") return read_bert(fields, settings);
  if (type == "Replace") return read_replace(fields, settings);
  if (type == "Precompiled") return read_precompiled(fields, settings);
  if (type == "Prepend") {
    settings += text(fields.text("prepend"), '\n');
    return with_prefix(std::string(fields.text("prepend")));
  }
  require(type == "Strip", fields.place(), " '", type, "' is not supported");
  const bool front = fields.flag("strip_left", true), back = fields.flag("strip_right", true);
  settings += text(front, back, '\n');
  return stripped(front, back);
}

}  // namespace

void read_normalizer(const JsonFields& file, Pipeline& pipeline) {
  const auto normalizer = file.object("normalizer");
  if (!normalizer) return;
  std::vector<NormalizerPointer> steps;
  for (const JsonFields& fields : pipeline_members(*normalizer, "normalizers")) {
    try {
      steps.push_back(read_one(fields, pipeline.settings));
    } catch (const Error& error) {
      const std::string_view message = error.what();
      if (message.substr(0, fields.place().size()) == fields.place()) throw;
      throw Error(text(fields.place(), ": ", message));
    }
  }
  if (steps.empty()) return;
  pipeline.rewrites = true;
  pipeline.normalizer = normalizer_sequence(std::move(steps));
}

}  // namespace lathe::tokenize
