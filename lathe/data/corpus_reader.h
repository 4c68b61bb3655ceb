#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <unordered_set>
#include <vector>

#include "lathe/base/hash.h"
#include "lathe/data/document_reader.h"

namespace lathe::data {

/// Some text of a corpus, in order: what one thread tokenizes at a time.
struct TextChunk {
  struct Piece {
    TextPiece piece;
    int32_t source = 0;  // number of its file
  };
  std::vector<Piece> pieces;
  size_t count = 0;  // of `pieces` that are filled; the others keep their memory for the next use
};

/// The documents of many files, one after another, in chunks. With deduplication, a document with the same text as an
/// earlier one is left out, at about 40 bytes of memory for each different one (XXH3, 128 bits). One thread calls
/// next().
class CorpusReader {
 public:
  static constexpr size_t kChunkBytes = size_t{1} << 19;

  CorpusReader(std::vector<std::string> files, const ReadOptions& options, bool deduplicate);
  ~CorpusReader();

  /// Fills `chunk`; false at the end. Throws Error as DocumentReader does.
  bool next(TextChunk& chunk);

  const std::vector<std::string>& files() const { return files_; }
  /// Complete after the end.
  const LeftOut& left_out() const { return left_out_; }
  /// Bytes of all files, and of those how many were read; any thread may ask.
  int64_t file_bytes() const { return file_bytes_; }
  int64_t file_position() const { return file_position_; }

 private:
  bool open_next();
  bool next_piece(TextPiece& piece);
  void deduplicate(TextPiece& piece);

  std::vector<std::string> files_;
  ReadOptions options_;
  bool deduplicates_;
  size_t opened_ = 0;
  std::unique_ptr<DocumentReader> reader_;
  LeftOut left_out_;
  struct Low {
    size_t operator()(const Hash128& hash) const { return hash.low; }
  };
  std::unordered_set<Hash128, Low> seen_;
  Hasher hasher_;
  int64_t file_bytes_ = 0;
  int64_t closed_bytes_ = 0;
  std::atomic<int64_t> file_position_ = 0;
};

}  // namespace lathe::data
