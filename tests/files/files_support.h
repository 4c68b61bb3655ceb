#pragma once

#include <gtest/gtest.h>

#include <string>

#include "tests/support/temporary_directory.h"

namespace lathe::test {

/// A test with a directory of its own.
class FolderTest : public testing::Test {
 protected:
  std::string path(const std::string& name = "") const { return folder_.path(name); }
  /// Writes a file and returns its path.
  std::string write(const std::string& name, const std::string& bytes) const { return folder_.file(name, bytes); }

 private:
  TemporaryDirectory folder_;
};

}  // namespace lathe::test
