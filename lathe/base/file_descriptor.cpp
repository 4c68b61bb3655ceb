#include "lathe/base/file_descriptor.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>
#include <utility>

#include "lathe/base/error.h"

namespace lathe {

FileDescriptor::FileDescriptor(FileDescriptor&& other) noexcept : number_(std::exchange(other.number_, -1)) {}

FileDescriptor& FileDescriptor::operator=(FileDescriptor&& other) noexcept {
  if (this != &other) {
    close();
    number_ = std::exchange(other.number_, -1);
  }
  return *this;
}

FileDescriptor::~FileDescriptor() { close(); }

void FileDescriptor::close() {
  if (number_ >= 0) ::close(number_);
  number_ = -1;
}

FileDescriptor open_for_reading(const std::string& path) {
  FileDescriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  require(file.open(), "cannot read ", path, ": ", system_message(errno));
  struct stat status {};
  require(::fstat(file.number(), &status) == 0, "cannot read ", path, ": ", system_message(errno));
  require(!S_ISDIR(status.st_mode), "cannot read ", path, ": it is a directory, a file is wanted");
  return file;
}

std::string system_message(int error_number) {
  std::string message = std::generic_category().message(error_number);
  if (message.size() > 1 && message[0] >= 'A' && message[0] <= 'Z' && message[1] >= 'a') message[0] += 'a' - 'A';
  return message;
}

}  // namespace lathe
