#include "lathe/base/durable_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <fstream>

#include "lathe/base/error.h"
#include "lathe/base/numbers.h"

namespace lathe {
namespace {

namespace fs = std::filesystem;

constexpr const char* kPartial = ".partial";

std::string parent_of(const std::string& path) {
  fs::path parent = fs::path(path).parent_path();
  return parent.empty() ? "." : parent.string();
}

void sync_path(const std::string& path, int flags) {
  FileDescriptor file(::open(path.c_str(), flags | O_CLOEXEC));
  require(file.open(), "cannot sync ", path, ": ", system_message(errno));
  // Some file systems cannot sync a directory and say EINVAL; there the rename itself is what they offer.
  require(::fsync(file.number()) == 0 || errno == EINVAL, "cannot sync ", path, ": ", system_message(errno));
}

void sync_directory(const std::string& path) { sync_path(path, O_RDONLY | O_DIRECTORY); }

[[noreturn]] void fail_write(const std::string& path, int64_t written, size_t wanted, int reason) {
  std::string message = text("cannot write ", path, ": ", system_message(reason), "; ", written, " bytes written, ",
                             wanted, " more wanted");
  if (reason == ENOSPC || reason == EDQUOT) message += text(", ", free_bytes(path), " free; the old file is untouched");
  throw Error(message);
}

void write_all(const FileDescriptor& file, const std::string& path, int64_t offset, Bytes bytes) {
  while (!bytes.empty()) {
    ssize_t count = ::pwrite(file.number(), bytes.data(), bytes.size(), offset);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) fail_write(path, offset, bytes.size(), count < 0 ? errno : ENOSPC);
    offset += count;
    bytes = bytes.subspan(size_t(count));
  }
}

void rename_durably(const std::string& from, const std::string& to) {
  require(::rename(from.c_str(), to.c_str()) == 0, "cannot rename ", from, " to ", to, ": ", system_message(errno));
  sync_directory(parent_of(to));
}

}  // namespace

DurableFile::DurableFile(const std::string& path) : path_(path), temporary_(temporary_name(path)) {
  require(!fs::is_directory(path), "cannot write ", path, ": it is a directory");
  file_ = FileDescriptor(::open(temporary_.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666));
  require(file_.open(), "cannot write ", path, ": ", system_message(errno));
}

DurableFile::DurableFile(DurableFile&& other) noexcept
    : path_(std::move(other.path_)),
      temporary_(std::move(other.temporary_)),
      file_(std::move(other.file_)),
      size_(other.size_) {}

DurableFile::~DurableFile() {
  if (file_.open()) ::unlink(temporary_.c_str());
}

void DurableFile::write(Bytes bytes) {
  if (!file_.open()) throw InternalError(text("write to ", path_, " after its commit"));
  write_all(file_, path_, size_, bytes);
  size_ += int64_t(bytes.size());
}

void DurableFile::write_at(int64_t offset, Bytes bytes) {
  if (!file_.open() || offset < 0 || offset + int64_t(bytes.size()) > size_)
    throw InternalError(text("write to ", path_, " outside what was written"));
  write_all(file_, path_, offset, bytes);
}

void DurableFile::commit() {
  if (!file_.open()) throw InternalError(text("second commit of ", path_));
  if (::fsync(file_.number()) != 0) fail_write(path_, size_, 0, errno);
  rename_durably(temporary_, path_);
  file_.close();
}

void replace_file(const std::string& path, Bytes bytes) {
  DurableFile file(path);
  file.write(bytes);
  file.commit();
}

void replace_file(const std::string& path, std::string_view text) { replace_file(path, bytes_of(text)); }

void append_to(std::ofstream& file, const std::string& path, std::string_view bytes) {
  errno = 0;
  file.write(bytes.data(), std::streamsize(bytes.size())).flush();
  require(file.good(), "cannot write ", path, ": ", system_message(errno ? errno : EIO), ", ", free_bytes(path),
          " free");
}

std::string temporary_name(const std::string& path) {
  static std::atomic<int> counter = 0;
  fs::path whole(path);
  if (!whole.has_filename()) whole = whole.parent_path();  // "run/" names the directory "run"
  std::string name = text('.', whole.filename().string(), '.', ::getpid(), '-', counter++, kPartial);
  return (whole.parent_path() / name).string();
}

void publish_directory(const std::string& temporary, const std::string& path) {
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(temporary)) {
    if (entry.is_symlink()) continue;
    if (entry.is_directory()) sync_directory(entry.path());
    if (entry.is_regular_file()) sync_path(entry.path(), O_RDONLY);
  }
  sync_directory(temporary);
  require(!fs::exists(path) || (fs::is_directory(path) && fs::is_empty(path)), path,
          " exists already; remove it or choose another name");
  rename_durably(temporary, path);
}

void remove_partials(const std::string& directory) {
  for (const fs::directory_entry& entry : fs::directory_iterator(directory)) {
    std::string name = entry.path().filename();
    if (name.starts_with('.') && name.ends_with(kPartial)) fs::remove_all(entry.path());
  }
}

int64_t free_bytes(const std::string& path) {
  fs::path place = fs::absolute(path);
  while (!fs::exists(place) && place.has_relative_path()) place = place.parent_path();
  struct statvfs status {};
  require(::statvfs(place.c_str(), &status) == 0, "cannot ask for free space at ", path, ": ", system_message(errno));
  return int64_t(status.f_bavail) * int64_t(status.f_frsize);
}

void require_free_bytes(const std::string& path, int64_t bytes, std::string_view purpose) {
  int64_t available = free_bytes(path);
  require(bytes <= available, path, ": ", purpose, " needs ", format_bytes(bytes), ", but only ",
          format_bytes(available), " are free on that disk; free some or choose another directory");
}

}  // namespace lathe
