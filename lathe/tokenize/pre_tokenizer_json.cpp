#include "lathe/base/error.h"
#include "lathe/tokenize/delimiters.h"
#include "lathe/tokenize/pipeline_json.h"

namespace lathe::tokenize {
namespace {

std::unique_ptr<Splitter> read_split(const JsonFields& fields, std::string& settings) {
  const DelimiterUse use = delimiter_use(fields.text("behavior"));
  const bool invert = fields.flag("invert", false);
  const auto pattern = fields.object("pattern");
  require(pattern && (pattern->find("Regex") || pattern->find("String")), fields.place("pattern"),
          " has neither Regex nor String");
  const bool literal = pattern->find("String").has_value();
  const std::string what(pattern->text(literal ? "String" : "Regex"));
  const bool plain = !literal && !invert && use == DelimiterUse::isolated;
  settings += text("Split ", plain ? "" : text(literal, static_cast<int>(use), invert, ' '), what, '\n');
  bool nothing_left = invert && use == DelimiterUse::removed;
  if (what.empty() && !nothing_left) return fixed_length_splitter(1);  // nothing is found between any two characters
  if (literal && !invert && use == DelimiterUse::with_next) return mark_splitter(what);
  return literal ? literal_splitter(what, use, invert) : regex_splitter(what, use, invert);
}

void read_metaspace(const JsonFields& fields, Pipeline& pipeline) {
  const Metaspace metaspace = read_metaspace_fields(fields);
  std::vector<NormalizerPointer> rewrites;
  rewrites.push_back(replaced(" ", metaspace.replacement));
  if (metaspace.prepends) rewrites.push_back(with_missing_prefix(metaspace.replacement));
  PreTokenizerStep step{normalizer_sequence(std::move(rewrites)), nullptr, metaspace.only_start};
  if (metaspace.splits) step.split = mark_splitter(metaspace.replacement);
  pipeline.rewrites = true;
  pipeline.steps.push_back(std::move(step));
  pipeline.settings +=
      text("Metaspace ", metaspace.replacement, metaspace.prepends, metaspace.only_start, metaspace.splits, '\n');
}

void read_byte_level(const JsonFields& fields, Pipeline& pipeline) {
  PreTokenizerStep step;
  require(!pipeline.bytes, fields.place(), ": ByteLevel behind ByteLevel is not supported");
  const bool space = fields.flag("add_prefix_space", true), split = fields.flag("use_regex", true);
  if (space) step.rewrite = with_missing_prefix(" ");
  if (split) step.split = gpt2_splitter();
  pipeline.rewrites = pipeline.rewrites || space;
  pipeline.bytes = true;
  if (space || split) pipeline.steps.push_back(std::move(step));
  pipeline.settings += text("ByteLevel ", space, split, '\n');
}

/// Splitters that need no more than a line; null for another type.
std::unique_ptr<Splitter> read_splitter(const JsonFields& fields, std::string& settings) {
  const std::string_view type = fields.type();
  if (type == "Split") return read_split(fields, settings);
  if (type == "Digits") {
    settings += text("Digits ", fields.flag("individual_digits", false), '\n');
    return digit_splitter(fields.flag("individual_digits", false));
  }
  settings += text(type, '\n');
  if (type == "Whitespace") return word_splitter();
  if (type == "WhitespaceSplit") return whitespace_splitter();
  if (type == "UnicodeScripts") return script_splitter();
  if (type == "BertPreTokenizer") return bert_splitter();
  if (type == "Punctuation") {
    settings += text(fields.text("behavior", "Isolated"), '\n');
    return punctuation_splitter(delimiter_use(fields.text("behavior", "Isolated")));
  }
  if (type == "CharDelimiterSplit") {
    settings += text(fields.text("delimiter"), '\n');
    return literal_splitter(std::string(fields.text("delimiter")), DelimiterUse::removed, false);
  }
  if (type != "FixedLength") return nullptr;
  settings += text(fields.number("length"), '\n');
  return fixed_length_splitter(fields.number("length"));
}

void read_one(const JsonFields& fields, Pipeline& pipeline) {
  const std::string_view type = fields.type();
  if (pipeline.bytes && !pipeline.spelt) {  // what follows sees bytes spelt
    pipeline.steps.push_back({spelt_in_bytes(), nullptr, false});
    pipeline.spelt = true;
  }
  if (type == "ByteLevel") return read_byte_level(fields, pipeline);
  if (type == "Metaspace") return read_metaspace(fields, pipeline);
  std::unique_ptr<Splitter> splitter = read_splitter(fields, pipeline.settings);
  require(splitter != nullptr, fields.place(), " '", type, "' is not supported");
  pipeline.steps.push_back({nullptr, std::move(splitter), false});
}

/// Neighbouring steps that only split become one.
void join_splitters(std::vector<PreTokenizerStep>& steps) {
  std::vector<PreTokenizerStep> joined;
  for (PreTokenizerStep& step : steps) {
    if (step.rewrite || joined.empty() || !joined.back().split) {
      joined.push_back(std::move(step));
      continue;
    }
    std::vector<std::unique_ptr<Splitter>> both;
    both.push_back(std::move(joined.back().split));
    both.push_back(std::move(step.split));
    joined.back().split = splitter_sequence(std::move(both));
  }
  steps = std::move(joined);
}

}  // namespace

void read_pre_tokenizer(const JsonFields& file, Pipeline& pipeline) {
  const auto pre_tokenizer = file.object("pre_tokenizer");
  if (!pre_tokenizer) return;
  for (const JsonFields& fields : pipeline_members(*pre_tokenizer, "pretokenizers")) {
    try {
      read_one(fields, pipeline);
    } catch (const Error& error) {
      const std::string_view message = error.what();
      if (message.substr(0, fields.place().size()) == fields.place()) throw;
      throw Error(text(fields.place(), ": ", message));
    }
  }
  join_splitters(pipeline.steps);
}

}  // namespace lathe::tokenize
