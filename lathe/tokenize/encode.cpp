#include <algorithm>

#include "lathe/tokenize/characters.h"
#include "lathe/tokenize/parts.h"

namespace lathe::tokenize {

void encode_segments(const Tokenizer::Parts& parts, std::string_view text, Edges edges, std::vector<TokenId>& ids) {
  for (size_t offset = 0; offset < text.size();) {
    const size_t begin = offset;
    const Segment raw = parts.in_raw_text.next(text, offset);
    if (raw.token) {
      ids.push_back(raw.token->id);
      continue;
    }
    const Edges inner{edges.front || begin > 0, edges.back || offset < text.size(), edges.start && begin == 0};
    parts.encoder.encode(raw.text, inner, true, ids);
  }
}

TokenSpans encode_with_spans(const Tokenizer::Parts& parts, std::string_view text) {
  TokenSpans tokens;
  for (size_t offset = 0; offset < text.size();) {
    const size_t begin = offset;
    const Segment raw = parts.in_raw_text.next(text, offset);
    if (raw.token) {
      tokens.ids.push_back(raw.token->id);
      tokens.spans.push_back({begin, offset});
    } else {
      parts.encoder.encode_tracked(raw.text, begin, {true, true, begin == 0}, tokens);
    }
  }
  return tokens;
}

}  // namespace lathe::tokenize

namespace lathe {
namespace {

/// Less whitespace at both ends.
void trim(std::string_view text, tokenize::Span& span) {
  while (span.begin < span.end) {
    const auto c = tokenize::character_at(text.data() + span.begin, text.data() + span.end);
    if (!(tokenize::class_of(c.code) & tokenize::kSpace)) break;
    span.begin += c.bytes;
  }
  while (span.end > span.begin && static_cast<unsigned char>(text[span.end - 1]) <= ' ') --span.end;
}

Encoding encoding_of(const Tokenizer::Parts& parts, std::string_view text, int number) {
  Encoding encoding;
  tokenize::TokenSpans tokens = tokenize::encode_with_spans(parts, text);
  encoding.ids = std::move(tokens.ids);
  encoding.spans.reserve(tokens.spans.size());
  for (tokenize::Span span : tokens.spans) {
    if (parts.post.trims_spans) trim(text, span);
    encoding.spans.push_back({number, span.begin, span.end});
  }
  return encoding;
}

}  // namespace

Encoding Tokenizer::encode_single(std::string_view text, const Truncation& truncation) const {
  Encoding encodings[1] = {encoding_of(*parts_, text, 0)};
  tokenize::truncate(encodings, truncation, tokenize::added_by(parts_->post.single));
  return tokenize::assembled(parts_->post.single, encodings);
}

Encoding Tokenizer::encode_pair(std::string_view first, std::string_view second, const Truncation& truncation) const {
  Encoding encodings[2] = {encoding_of(*parts_, first, 0), encoding_of(*parts_, second, 1)};
  tokenize::truncate(encodings, truncation, tokenize::added_by(parts_->post.pair));
  return tokenize::assembled(parts_->post.pair, encodings);
}

Encoding Tokenizer::encode_single(std::string_view text) const {
  return encode_single(text, parts_->post.truncation.value_or(Truncation()));
}

Encoding Tokenizer::encode_pair(std::string_view first, std::string_view second) const {
  return encode_pair(first, second, parts_->post.truncation.value_or(Truncation()));
}

}  // namespace lathe
