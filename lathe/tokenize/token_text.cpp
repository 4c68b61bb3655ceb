#include "lathe/tokenize/token_text.h"

#include "lathe/base/error.h"
#include "lathe/base/regex.h"
#include "lathe/base/utf8.h"
#include "lathe/tokenize/byte_alphabet.h"
#include "lathe/tokenize/byte_tokens.h"
#include "lathe/tokenize/pipeline_json.h"

namespace lathe::tokenize {
namespace {

void replace_all(std::string& text, std::string_view what, std::string_view with) {
  for (size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + with.size())) {
    text.replace(at, what.size(), with);
  }
}

/// Spaces that English does not write, as BERT's decoder takes them away.
void clean_up(std::string& text) {
  constexpr const char* kPairs[][2] = {{" .", "."},   {" ?", "?"},     {" !", "!"},    {" ,", ","},
                                       {" ' ", "'"},  {" n't", "n't"}, {" 'm", "'m"},  {" do not", " don't"},
                                       {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"}};
  for (const auto& pair : kPairs) replace_all(text, pair[0], pair[1]);
}

bool ends_with(std::string_view text, std::string_view end) {
  return text.size() >= end.size() && text.substr(text.size() - end.size()) == end;
}

/// Up to `front` and `back` times `what` less at the ends.
void strip(std::string& text, const std::string& what, uint64_t front, uint64_t back) {
  for (; front > 0 && text.compare(0, what.size(), what) == 0 && !text.empty(); --front) text.erase(0, what.size());
  for (; back > 0 && ends_with(text, what) && !text.empty(); --back) text.resize(text.size() - what.size());
}

}  // namespace

TokenDecoder::TokenDecoder(const JsonFields& file) {
  const auto decoder = file.object("decoder");
  if (!decoder) return;
  any_ = true;
  for (const JsonFields& fields : pipeline_members(*decoder, "decoders")) read(fields);
}

void TokenDecoder::read(const JsonFields& fields) {
  const std::string_view type = fields.type();
  settings_ += text("decoder ", type, '\n');
  if (type == "ByteLevel") {
    gives_bytes_ = true;
    steps_.push_back([](TokenText& token, bool) { token.bytes = spelt_bytes(token.bytes).value_or(token.bytes); });
  } else if (type == "ByteFallback") {
    steps_.push_back([](TokenText& token, bool) {
      if (const auto byte = byte_of_token(token.bytes)) token.bytes.assign(1, *byte);
    });
  } else if (type == "Fuse") {
    fused_ = true;
  } else if (type == "BPEDecoder") {
    steps_.push_back([suffix = std::string(fields.text("suffix", "</w>"))](TokenText& token, bool) {
      if (suffix.empty()) return;
      token.space_after = ends_with(token.bytes, suffix);
      if (token.space_after) token.bytes.resize(token.bytes.size() - suffix.size());
      replace_all(token.bytes, suffix, " ");
    });
  } else if (type == "WordPiece") {
    const std::string prefix(fields.text("prefix", "##"));
    const bool cleans = fields.flag("cleanup", true);
    minds_the_front_ = true;
    steps_.push_back([prefix, cleans](TokenText& token, bool in_front) {
      const bool inside = !prefix.empty() && token.bytes.compare(0, prefix.size(), prefix) == 0;
      if (!in_front && inside) token.bytes.erase(0, prefix.size());
      if (!in_front && !inside) token.bytes.insert(0, " ");
      if (cleans) clean_up(token.bytes);
    });
  } else if (type == "Metaspace") {
    read_metaspace(fields);
  } else if (type == "Strip") {
    read_strip(fields);
  } else if (type == "Replace") {
    read_replace(fields);
  } else {
    require(type == "CTC", fields.place(), " '", type, "' is not supported");
    read_ctc(fields);
  }
}

void TokenDecoder::read_strip(const JsonFields& fields) {
  const std::string what(fields.text("content"));
  const uint64_t front = fields.number("start"), back = fields.number("stop");
  require(!what.empty(), fields.place("content"), " is empty");
  require(!fused_ || back == 0, fields.place("stop"), ": taking text away at the end, behind Fuse, is not supported");
  settings_ += text(what, ' ', front, ' ', back, ' ', fused_, '\n');
  minds_the_front_ = minds_the_front_ || fused_;
  steps_.push_back([what, front, back, only_front = fused_](TokenText& token, bool in_front) {
    if (in_front || !only_front) strip(token.bytes, what, front, back);
  });
}

void TokenDecoder::read_replace(const JsonFields& fields) {
  const auto pattern = fields.object("pattern");
  require(pattern.has_value(), fields.place("pattern"), " is missing");
  const std::string with(fields.text("content"));
  const bool literal = pattern->find("String").has_value();
  const std::string what(pattern->text(literal ? "String" : "Regex"));
  require(!what.empty(), fields.place("pattern"), " is empty");
  settings_ += text(literal, what, ' ', with, '\n');
  if (literal) {
    steps_.push_back([what, with](TokenText& token, bool) { replace_all(token.bytes, what, with); });
    return;
  }
  steps_.push_back([regex = std::make_shared<Regex>(what), with](TokenText& token, bool) {
    std::string out;
    size_t at = 0;
    regex->each_match(token.bytes, [&](size_t begin, size_t end) {
      out.append(token.bytes, at, begin - at).append(with);
      at = end;
    });
    token.bytes = out.append(token.bytes, at);
  });
}

void TokenDecoder::read_metaspace(const JsonFields& fields) {
  const Metaspace metaspace = read_metaspace_fields(fields);
  settings_ += text(metaspace.replacement, ' ', metaspace.prepends, '\n');
  minds_the_front_ = minds_the_front_ || metaspace.prepends;
  steps_.push_back([metaspace](TokenText& token, bool in_front) {
    replace_all(token.bytes, metaspace.replacement, in_front && metaspace.prepends ? "" : " ");
  });
}

void TokenDecoder::read_ctc(const JsonFields& fields) {
  const std::string pad(fields.text("pad_token", "<pad>")), space(fields.text("word_delimiter_token", "|"));
  const bool cleans = fields.flag("cleanup", true);
  settings_ += text(pad, ' ', space, ' ', cleans, '\n');
  once_in_a_row_ = true;
  steps_.push_back([pad, space, cleans](TokenText& token, bool) {
    if (!pad.empty()) replace_all(token.bytes, pad, "");
    if (!cleans) return;
    clean_up(token.bytes);
    if (!space.empty()) replace_all(token.bytes, space, " ");
  });
}

TokenText TokenDecoder::text_of(std::string_view spelling, bool in_front) const {
  TokenText token{std::string(spelling), !any_};
  for (const Step& step : steps_) step(token, in_front);
  return token;
}

}  // namespace lathe::tokenize
