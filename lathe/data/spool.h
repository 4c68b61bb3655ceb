#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "lathe/base/file_descriptor.h"
#include "lathe/data/split_writer.h"

namespace lathe::data {

/// The tokens of some text, as shards store them, and the pieces of documents they belong to.
struct EncodedChunk {
  struct Piece {
    int64_t tokens = 0;
    int64_t bytes = 0;  // of text
    int32_t source = 0;
    bool ends_document = true;
    bool keep = true;
  };
  std::vector<std::byte> tokens;
  std::vector<Piece> pieces;
};

/// A document in the spool.
struct SpooledDocument {
  int64_t first_token = 0;
  int64_t tokens = 0;
  int64_t bytes = 0;
  int32_t source = 0;
};

/// Tokens of all documents in the order they were read, in a file without a name (it vanishes with the process), until
/// it is known which split and place each document gets. One thread.
class Spool {
 public:
  /// The file lies in `directory`. Throws Error when it cannot be made.
  Spool(const std::string& directory, int token_bytes);

  /// Throws Error naming the bytes wanted and free when the disk is full.
  void add(const EncodedChunk& chunk);

  /// Documents that were ended and kept.
  const std::vector<SpooledDocument>& documents() const { return documents_; }
  int64_t tokens() const { return tokens_; }

  /// Cuts document `index` in two: its first `tokens`, from `bytes` of text, and the rest, which comes behind it.
  void cut_document(size_t index, int64_t tokens, int64_t bytes);
  /// Reads tokens as 32-bit.
  std::vector<uint32_t> read(int64_t first, int64_t count);
  /// Writes a document to a split.
  void copy_document(size_t index, SplitWriter& to);

 private:
  Bytes read_bytes(int64_t first, int64_t count);

  std::string directory_;
  FileDescriptor file_;
  int token_bytes_;
  int64_t tokens_ = 0;
  SpooledDocument open_;  // the document whose end has not come
  std::vector<SpooledDocument> documents_;
  std::vector<std::byte> buffer_;
};

}  // namespace lathe::data
