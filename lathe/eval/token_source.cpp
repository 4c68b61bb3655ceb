#include "lathe/eval/token_source.h"

#include <algorithm>
#include <utility>

#include "lathe/base/error.h"

namespace lathe::eval {
namespace {

constexpr int64_t kPieceTokens = int64_t{1} << 16;

}  // namespace

TextSource::TextSource(const std::vector<std::string>& inputs, const data::ReadOptions& options,
                       const Tokenizer& tokenizer, std::optional<TokenId> separator)
    : reader_(data::find_text_files(inputs), options, false), tokenizer_(tokenizer), separator_(separator) {
  if (options.invalid_utf8 == data::OnInvalidUtf8::skip)
    throw InternalError("a document that is left out once part of it was scored");
}

bool TextSource::next(TokenPiece& piece) {
  if (given_ == chunk_.count) {
    given_ = 0;
    if (!reader_.next(chunk_)) return false;
  }
  const data::TextPiece& text = chunk_.pieces[given_++].piece;
  std::vector<TokenId> ids;
  if (std::exchange(between_, text.ends_document) && separator_) ids.push_back(*separator_);
  tokenizer_.encode(text.text, ids);
  piece.tokens.assign(ids.begin(), ids.end());
  piece.bytes = int64_t(text.text.size());
  piece.ends_document = text.ends_document;
  tokens_ += int64_t(ids.size());
  return true;
}

int64_t TextSource::expected_tokens() const {
  double read = double(std::max<int64_t>(reader_.file_position(), 1)) / double(reader_.file_bytes());
  return int64_t(double(tokens_) / std::min(read, 1.0));
}

bool HeldOutSource::next(TokenPiece& piece) {
  const data::TokenSplit& split = shards_.held_out();
  if (token_ == split.tokens()) return false;
  int64_t end = split.document_start(document_ + 1), count = std::min(end - token_, kPieceTokens);
  piece.tokens.resize(size_t(count));
  split.read(token_, piece.tokens);
  piece.bytes = token_ == 0 ? split.bytes() : 0;  // the shards know only their sum
  token_ += count;
  piece.ends_document = token_ == end;
  document_ += piece.ends_document;
  return true;
}

}  // namespace lathe::eval
