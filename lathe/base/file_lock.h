#pragma once

#include <string>

#include "lathe/base/file_descriptor.h"

namespace lathe {

/// Holds a directory for one process, so that two runs cannot write into it. The kernel frees the lock when the process
/// ends, however it ends; the file ".lock" that carries it stays.
class DirectoryLock {
 public:
  /// Creates the directory if it is missing. Throws Error naming the holder when another process, or another
  /// DirectoryLock of this one, has it.
  explicit DirectoryLock(const std::string& directory);

 private:
  FileDescriptor file_;
};

}  // namespace lathe
