#pragma once

#include <cstdint>
#include <iosfwd>
#include <string>

#include "lathe/base/bytes.h"
#include "lathe/base/file_descriptor.h"

namespace lathe {

/// A new version of a file that appears whole or not at all, also after a crash or power loss: bytes go to a temporary
/// file beside `path`, which commit() syncs and renames over it. Destroyed before that, it leaves the old file as it
/// was. Throws Error naming the path, the bytes wanted and the bytes free when the disk is full. One thread.
class DurableFile {
 public:
  explicit DurableFile(const std::string& path);
  DurableFile(DurableFile&& other) noexcept;
  DurableFile& operator=(DurableFile&&) = delete;
  ~DurableFile();

  void write(Bytes bytes);
  void write(std::string_view text) { write(bytes_of(text)); }
  /// Writes at a place already written, to fill in a header whose values were not known; the end stays where it was.
  void write_at(int64_t offset, Bytes bytes);
  int64_t size() const { return size_; }

  /// Makes the file durable under its name. Nothing may be written after.
  void commit();

 private:
  std::string path_;
  std::string temporary_;
  FileDescriptor file_;
  int64_t size_ = 0;
};

/// Replaces or creates the file `path` durably with `bytes`.
void replace_file(const std::string& path, Bytes bytes);
void replace_file(const std::string& path, std::string_view text);

/// Writes `bytes` to `file`, which is open on `path`, and flushes it. Throws Error with the system's reason and the
/// room left on the disk.
void append_to(std::ofstream& file, const std::string& path, std::string_view bytes);

/// A name beside `path`, unused so far, for a file or directory that publish_directory or a rename will put in its
/// place. Ends in ".partial".
std::string temporary_name(const std::string& path);

/// Syncs all files and directories below `temporary`, then renames it to `path`, durably: `path` holds either nothing
/// or everything. Throws Error when `path` exists and is not an empty directory.
void publish_directory(const std::string& temporary, const std::string& path);

/// Removes what killed processes left in `directory` under temporary names. Only for who holds a lock on it.
void remove_partials(const std::string& directory);

/// Bytes that this user may still write on the disk that holds `path` (or its nearest existing parent).
int64_t free_bytes(const std::string& path);

/// Throws Error when fewer than `bytes` are free where `path` lies; `purpose` says for what they are wanted.
void require_free_bytes(const std::string& path, int64_t bytes, std::string_view purpose);

}  // namespace lathe
