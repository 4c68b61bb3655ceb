#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "lathe/base/error.h"

namespace lathe::test {

/// A test with a directory of its own, removed at its end.
class FolderTest : public testing::Test {
 protected:
  FolderTest();
  ~FolderTest() override;
  std::string path(const std::string& name = "") const { return (folder_ / name).string(); }
  /// Writes a file and returns its path.
  std::string write(const std::string& name, const std::string& bytes) const;

 private:
  std::filesystem::path folder_;
};

/// The message of the Error that `action` throws; empty when it throws none.
template <class Action>
std::string error_of(Action&& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

}  // namespace lathe::test
