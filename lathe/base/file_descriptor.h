#pragma once

#include <string>

namespace lathe {

/// Owns one open file descriptor and closes it.
class FileDescriptor {
 public:
  FileDescriptor() = default;
  explicit FileDescriptor(int number) : number_(number) {}
  FileDescriptor(FileDescriptor&& other) noexcept;
  FileDescriptor& operator=(FileDescriptor&& other) noexcept;
  ~FileDescriptor();

  int number() const { return number_; }
  bool open() const { return number_ >= 0; }
  void close();

 private:
  int number_ = -1;
};

/// Opens `path` for reading. Throws Error with the reason when it is missing, a directory or unreadable.
FileDescriptor open_for_reading(const std::string& path);

/// What the system says about an errno value: "no such file or directory". Safe in threads.
std::string system_message(int error_number);

}  // namespace lathe
