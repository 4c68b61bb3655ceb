#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

namespace lathe {

/// Reads a plain, gzip or zstd file as one stream of bytes; the first bytes decide which, not the name. Files of
/// several gzip members or zstd frames read as one. One thread at a time.
class TextInput {
 public:
  /// Throws Error when `path` cannot be read, or is named .gz or .zst without being that.
  explicit TextInput(const std::string& path);
  TextInput(TextInput&&) noexcept;
  TextInput& operator=(TextInput&&) noexcept;
  ~TextInput();

  /// Fills `into` from its start; returns how many bytes came, less than asked only at the end, 0 after it.
  /// Throws Error naming the file and where when the input is truncated or corrupt.
  int64_t read(std::span<char> into);

  const std::string& path() const;
  /// Bytes of the file itself, all and consumed so far: for progress. `file_bytes` is 0 for a pipe.
  int64_t file_bytes() const;
  int64_t file_position() const;

 private:
  class Source;
  std::unique_ptr<Source> source_;
};

/// All of a file, decompressed. Throws Error when it is larger than `limit`.
std::string read_text(const std::string& path, int64_t limit = int64_t{1} << 32);

}  // namespace lathe
