#pragma once

#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

namespace lathe {

/// A fresh directory for one test, removed with everything in it.
class TemporaryDirectory {
 public:
  TemporaryDirectory();
  ~TemporaryDirectory();
  std::string path(const std::string& name = "") const { return (path_ / name).string(); }
  /// Writes a file of that name and returns its path.
  std::string file(const std::string& name, std::string_view content) const;
  int entries() const;

 private:
  std::filesystem::path path_;
};

std::string content_of(const std::string& path);

}  // namespace lathe
