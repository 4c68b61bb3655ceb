#include "lathe/base/mapped_file.h"

#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "lathe/base/error.h"
#include "lathe/base/file_descriptor.h"

namespace lathe {
namespace {

/// Advice for the whole pages that cover [first, first + count).
void advise_range(std::byte* data, int64_t size, int64_t first, int64_t count, int advice) {
  if (!data || first < 0 || first >= size || count <= 0) return;
  static const int64_t page = ::sysconf(_SC_PAGESIZE);
  int64_t begin = first / page * page;
  int64_t end = first + std::min(count, size - first);
  ::madvise(data + begin, size_t(end - begin), advice);
}

}  // namespace

MappedFile::MappedFile(const std::string& path, Access access) : path_(path) {
  FileDescriptor file = open_for_reading(path);
  struct stat status {};
  require(::fstat(file.number(), &status) == 0, "cannot read ", path, ": ", system_message(errno));
  require(S_ISREG(status.st_mode), "cannot map ", path, ": it is not a regular file");
  size_ = status.st_size;
  if (size_ == 0) return;
  void* address = ::mmap(nullptr, size_t(size_), PROT_READ, MAP_SHARED, file.number(), 0);
  require(address != MAP_FAILED, "cannot map ", path, " (", size_, " bytes): ", system_message(errno));
  data_ = static_cast<std::byte*>(address);
  advise(access);
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : path_(std::move(other.path_)), data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

MappedFile::~MappedFile() {
  if (data_) ::munmap(data_, size_t(size_));
}

void MappedFile::advise(Access access) const {
  constexpr int advice[] = {MADV_NORMAL, MADV_SEQUENTIAL, MADV_RANDOM};
  advise_range(data_, size_, 0, size_, advice[int(access)]);
}

void MappedFile::prefetch(int64_t first, int64_t count) const {
  advise_range(data_, size_, first, count, MADV_WILLNEED);
}

void MappedFile::forget(int64_t first, int64_t count) const { advise_range(data_, size_, first, count, MADV_DONTNEED); }

}  // namespace lathe
