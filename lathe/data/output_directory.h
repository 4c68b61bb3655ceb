#pragma once

#include <string>

namespace lathe::data {

/// The directory a corpus is written to: made under a temporary name, put in its place when it is whole, removed when
/// that never happens. One thread.
class OutputDirectory {
 public:
  /// Throws Error when `path` holds something already, unless `replace` allows to replace it and it is a corpus (or an
  /// empty directory): nothing else is ever removed.
  OutputDirectory(const std::string& path, bool replace);
  ~OutputDirectory();

  /// Where to write.
  const std::string& temporary() const { return temporary_; }
  /// Puts the directory in its place, durably; what was there goes.
  void publish();

 private:
  std::string path_;
  std::string temporary_;
};

}  // namespace lathe::data
