#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace lathe::data {

/// One file of tokens: `tokens` little-endian integers, nothing else.
struct ShardFile {
  std::string file;
  int64_t tokens = 0;
  std::string checksum;  // XXH3, 16 hex digits
};

/// One part of a corpus. Its token stream is its shards one after another; every shard but the last is full, and a
/// document may go on from one into the next. `offsets_file` holds documents + 1 little-endian 64-bit token numbers.
struct SplitIndex {
  int64_t tokens = 0;
  int64_t documents = 0;
  int64_t bytes = 0;  // of the text these tokens were made from
  std::vector<ShardFile> shards;
  std::string offsets_file;
  std::string offsets_checksum;
};

/// A file the text came from.
struct SourceFile {
  std::string path;
  int64_t documents = 0;  // kept
  int64_t bytes = 0;      // of text, decompressed
};

/// What was not taken over, and why.
struct LeftOut {
  int64_t duplicates = 0;
  int64_t empty = 0;
  int64_t broken_lines = 0;
  int64_t invalid_utf8 = 0;
};

/// What `index.json` of a prepared corpus says. Plain data; parse_index() gives only consistent ones.
struct ShardIndex {
  static constexpr int kFormat = 1;
  static constexpr const char* kFile = "index.json";

  std::string tokenizer_file;
  std::string tokenizer_hash;
  int64_t vocabulary_size = 0;
  int64_t largest_token = 0;               // that occurs in any split
  std::optional<int64_t> end_of_document;  // the token after each document
  int token_bytes = 2;                     // 2 or 4
  int64_t shard_tokens = 0;                // of a full shard
  SplitIndex train;
  SplitIndex held_out;
  std::vector<SourceFile> sources;
  LeftOut left_out;
};

/// Reads the text of an index. Throws Error naming `where` and the field when it is no index, has a newer format, or
/// contradicts itself; file names that leave the directory are refused. Touches no other file.
ShardIndex parse_index(std::string_view json, const std::string& where);

/// The text of an index, as parse_index() reads it.
std::string format_index(const ShardIndex& index);

}  // namespace lathe::data
