#include "tests/files/files_support.h"

#include <cstdlib>
#include <fstream>

namespace lathe::test {

FolderTest::FolderTest() {
  std::string pattern = testing::TempDir() + "lathe-files-XXXXXX";
  require(mkdtemp(pattern.data()) != nullptr, "cannot make a directory ", pattern);
  folder_ = pattern;
}

FolderTest::~FolderTest() { std::filesystem::remove_all(folder_); }

std::string FolderTest::write(const std::string& name, const std::string& bytes) const {
  std::ofstream(folder_ / name, std::ios::binary) << bytes;
  return path(name);
}

}  // namespace lathe::test
