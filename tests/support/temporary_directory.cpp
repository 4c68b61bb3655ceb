#include "tests/support/temporary_directory.h"

#include <cstdlib>
#include <iterator>

#include "lathe/base/error.h"

namespace lathe {

TemporaryDirectory::TemporaryDirectory() {
  std::string pattern = (std::filesystem::temp_directory_path() / "lathe-test-XXXXXX").string();
  require(::mkdtemp(pattern.data()) != nullptr, "cannot make a directory like ", pattern);
  path_ = pattern;
}

TemporaryDirectory::~TemporaryDirectory() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

std::string TemporaryDirectory::file(const std::string& name, std::string_view content) const {
  std::ofstream(path_ / name, std::ios::binary) << content;
  return path(name);
}

int TemporaryDirectory::entries() const {
  return int(std::distance(std::filesystem::directory_iterator(path_), std::filesystem::directory_iterator()));
}

std::string content_of(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

}  // namespace lathe
