#include "lathe/base/file_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <filesystem>

#include "lathe/base/error.h"

namespace lathe {
namespace {

std::string holder_of(const FileDescriptor& file) {
  std::array<char, 32> digits{};
  ssize_t count = ::pread(file.number(), digits.data(), digits.size() - 1, 0);
  std::string process(digits.data(), count > 0 ? size_t(count) : 0);
  while (!process.empty() && process.back() == '\n') process.pop_back();
  return process.empty() ? "another process" : "process " + process;
}

}  // namespace

DirectoryLock::DirectoryLock(const std::string& directory) {
  std::error_code failure;
  std::filesystem::create_directories(directory, failure);
  require(!failure, "cannot make directory ", directory, ": ", system_message(failure.value()));
  std::string path = (std::filesystem::path(directory) / ".lock").string();
  file_ = FileDescriptor(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666));
  require(file_.open(), "cannot lock ", directory, ": ", system_message(errno));
  if (::flock(file_.number(), LOCK_EX | LOCK_NB) != 0) {
    require(errno == EWOULDBLOCK, "cannot lock ", directory, ": ", system_message(errno));
    throw Error(text(directory, " is in use by ", holder_of(file_),
                     "; two runs in one directory would destroy each other's files: wait for it, stop it, or choose "
                     "another directory"));
  }
  // Who holds it is for messages only, so a full disk here is no reason to stop.
  std::string process = text(::getpid(), '\n');
  [[maybe_unused]] bool named =
      ::ftruncate(file_.number(), 0) == 0 && ::pwrite(file_.number(), process.data(), process.size(), 0) > 0;
}

}  // namespace lathe
