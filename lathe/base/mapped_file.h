#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "lathe/base/bytes.h"

namespace lathe {

/// A file mapped read-only into memory; pages load when touched. Owns the mapping; movable. Any thread may read.
/// The file must not be shortened while it is mapped (replacing it by rename is fine: the old bytes stay).
class MappedFile {
 public:
  /// How the bytes will be read; a hint to the system.
  enum class Access { normal, sequential, random };

  /// Throws Error when `path` is missing, not a regular file or unreadable. An empty file has no bytes.
  explicit MappedFile(const std::string& path, Access access = Access::normal);
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  ~MappedFile();

  const std::byte* data() const { return data_; }
  int64_t size() const { return size_; }
  Bytes bytes() const { return {data_, static_cast<size_t>(size_)}; }
  std::string_view view() const { return text_of(bytes()); }
  const std::string& path() const { return path_; }

  void advise(Access access) const;
  /// Asks the system to start reading these bytes / to drop their pages from this process.
  void prefetch(int64_t first, int64_t count) const;
  void forget(int64_t first, int64_t count) const;

 private:
  std::string path_;
  std::byte* data_ = nullptr;
  int64_t size_ = 0;
};

}  // namespace lathe
