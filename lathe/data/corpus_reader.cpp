#include "lathe/data/corpus_reader.h"

#include <filesystem>
#include <utility>

namespace lathe::data {

CorpusReader::CorpusReader(std::vector<std::string> files, const ReadOptions& options, bool deduplicate)
    : files_(std::move(files)), options_(options), deduplicates_(deduplicate) {
  for (const std::string& file : files_) {
    std::error_code unknown;  // a pipe has no size
    const uintmax_t bytes = std::filesystem::file_size(file, unknown);
    file_bytes_ += unknown ? 0 : static_cast<int64_t>(bytes);
  }
}

CorpusReader::~CorpusReader() = default;

bool CorpusReader::open_next() {
  if (reader_) {
    const LeftOut& some = reader_->left_out();
    left_out_.empty += some.empty;
    left_out_.broken_lines += some.broken_lines;
    left_out_.invalid_utf8 += some.invalid_utf8;
    closed_bytes_ += reader_->file_bytes();
    reader_.reset();
  }
  if (opened_ == files_.size()) return false;
  reader_ = open_documents(files_[opened_++], options_);
  return true;
}

bool CorpusReader::next_piece(TextPiece& piece) {
  while (!reader_ || !reader_->next(piece))
    if (!open_next()) return false;
  file_position_ = closed_bytes_ + reader_->file_position();
  if (deduplicates_) deduplicate(piece);
  return true;
}

void CorpusReader::deduplicate(TextPiece& piece) {
  hasher_.add(piece.text);
  if (!piece.ends_document) return;
  const Hash128 hash = std::exchange(hasher_, Hasher()).digest128();
  if (!piece.keep || seen_.insert(hash).second) return;
  piece.keep = false;
  ++left_out_.duplicates;
}

bool CorpusReader::next(TextChunk& chunk) {
  chunk.count = 0;
  bool in_document = false;
  for (size_t bytes = 0; bytes < kChunkBytes;) {
    if (chunk.count == chunk.pieces.size()) chunk.pieces.emplace_back();
    TextChunk::Piece& next = chunk.pieces[chunk.count];
    if (!next_piece(next.piece)) break;
    next.source = static_cast<int32_t>(opened_ - 1);
    const bool whole = next.piece.ends_document && !in_document;
    in_document = !next.piece.ends_document;
    if (whole && !next.piece.keep && chunk.count > 0) continue;  // never wanted: not even tokenized
    ++chunk.count;
    bytes += next.piece.text.size();
  }
  return chunk.count > 0;
}

}  // namespace lathe::data
