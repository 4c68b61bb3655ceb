#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "lathe/data/corpus_files.h"
#include "lathe/data/shard_index.h"

namespace lathe::data {

/// What to do with a line or record that cannot be read, or text that is not UTF-8.
enum class OnBroken { stop, skip };
enum class OnInvalidUtf8 { stop, replace, skip };

struct ReadOptions {
  TextFormat format = TextFormat::automatic;
  std::string text_field = "text";  // of a JSON object; the column of a table
  bool header = true;               // of a table; without one, text_field is the column's number from 1
  std::string document_separator;   // of plain text; empty: a file is one document
  OnBroken broken_lines = OnBroken::stop;
  OnInvalidUtf8 invalid_utf8 = OnInvalidUtf8::stop;
  int64_t piece_bytes = int64_t{1} << 20;  // a plain document longer than this comes in pieces
};

/// Valid UTF-8 of one document, or a part of it.
struct TextPiece {
  std::string text;
  bool ends_document = true;
  bool keep = true;  // false at the end of a document that is to be left out after all
};

/// The documents of one file, in order. Memory does not grow with the file. One thread.
class DocumentReader {
 public:
  virtual ~DocumentReader() = default;

  /// The next piece; false at the end. Throws Error naming file and line or byte for what cannot be read, unless the
  /// options say to go on; then left_out() counts it. A NUL byte is always an Error: the file is binary.
  virtual bool next(TextPiece& piece) = 0;
  /// Bytes of the file, and how many of them were read: for progress.
  virtual int64_t file_bytes() const = 0;
  virtual int64_t file_position() const = 0;

  const LeftOut& left_out() const { return left_out_; }

 protected:
  LeftOut left_out_;
};

/// Opens a file in the format the options or its name say. Throws Error when it cannot be read.
std::unique_ptr<DocumentReader> open_documents(const std::string& path, const ReadOptions& options);

/// Whether `text` may be used: checks for NUL bytes and UTF-8 and replaces what is invalid if told to. False means
/// "leave it out". `where` names the file and place for the Error.
bool clean_text(std::string& text, OnInvalidUtf8 policy, const std::string& where);

std::unique_ptr<DocumentReader> open_plain_text(const std::string& path, const ReadOptions& options);
std::unique_ptr<DocumentReader> open_json_lines(const std::string& path, const ReadOptions& options);
std::unique_ptr<DocumentReader> open_table(const std::string& path, const ReadOptions& options, char delimiter);

}  // namespace lathe::data
