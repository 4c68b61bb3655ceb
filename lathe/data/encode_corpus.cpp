#include "lathe/data/encode_corpus.h"

#include <atomic>
#include <chrono>
#include <cstring>

#include "lathe/base/threads.h"
#include "lathe/data/ordered_pipeline.h"

namespace lathe::data {
namespace {

/// Adds the time it lives to a sum.
class Stopwatch {
 public:
  explicit Stopwatch(std::atomic<double>& sum) : sum_(sum), start_(std::chrono::steady_clock::now()) {}
  ~Stopwatch() { sum_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count(); }

 private:
  std::atomic<double>& sum_;
  std::chrono::steady_clock::time_point start_;
};

void append_narrow(const std::vector<TokenId>& ids, std::vector<std::byte>& to) {
  const size_t before = to.size();
  to.resize(before + ids.size() * sizeof(uint16_t));
  for (size_t i = 0; i < ids.size(); ++i) {
    const auto id = static_cast<uint16_t>(ids[i]);
    std::memcpy(to.data() + before + i * sizeof(id), &id, sizeof(id));
  }
}

void append_tokens(const std::vector<TokenId>& ids, int token_bytes, std::vector<std::byte>& to) {
  if (token_bytes == 2) return append_narrow(ids, to);
  const Bytes bytes = std::as_bytes(std::span(ids));
  to.insert(to.end(), bytes.begin(), bytes.end());
}

void encode_chunk(const TextChunk& chunk, const Tokenizer& tokenizer, std::optional<TokenId> end_of_document,
                  EncodedChunk& encoded) {
  encoded.tokens.clear();
  encoded.pieces.clear();
  std::vector<TokenId> ids;
  for (size_t i = 0; i < chunk.count; ++i) {
    const TextPiece& piece = chunk.pieces[i].piece;
    ids.clear();
    tokenizer.encode(piece.text, ids);
    if (piece.ends_document && end_of_document) ids.push_back(*end_of_document);
    append_tokens(ids, token_bytes_of(tokenizer), encoded.tokens);
    encoded.pieces.push_back({.tokens = static_cast<int64_t>(ids.size()),
                              .bytes = static_cast<int64_t>(piece.text.size()),
                              .source = chunk.pieces[i].source,
                              .ends_document = piece.ends_document,
                              .keep = piece.keep});
  }
}

}  // namespace

int token_bytes_of(const Tokenizer& tokenizer) { return tokenizer.vocabulary_size() <= 65536 ? 2 : 4; }

void encode_corpus(CorpusReader& reader, const Tokenizer& tokenizer, std::optional<TokenId> end_of_document,
                   int threads, Spool& spool, PrepareReport& report,
                   const std::function<void(const PrepareProgress&)>& progress) {
  std::atomic<double> reading = 0, tokenizing = 0, spooling = 0;
  PrepareProgress now{.file_bytes = reader.file_bytes()};
  const auto make = [&](TextChunk& chunk) {
    const Stopwatch watch(reading);
    return reader.next(chunk);
  };
  const auto work = [&](TextChunk& chunk, EncodedChunk& encoded) {
    const Stopwatch watch(tokenizing);
    encode_chunk(chunk, tokenizer, end_of_document, encoded);
  };
  const auto take = [&](EncodedChunk& encoded) {
    const Stopwatch watch(spooling);
    spool.add(encoded);
    for (const EncodedChunk::Piece& piece : encoded.pieces) now.text_bytes += piece.bytes;
    now.tokens = spool.tokens();
    now.file_bytes_read = reader.file_position();
    progress(now);
  };
  OrderedPipeline<TextChunk, EncodedChunk>(threads > 0 ? threads : lathe::threads()).run(make, work, take);
  report.reading_seconds = reading;
  report.tokenizing_seconds = tokenizing;
  report.spooling_seconds = spooling;
}

}  // namespace lathe::data
