#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "tests/support/checkout.h"
#include "tests/support/program.h"

namespace lathe {
namespace {

namespace fs = std::filesystem;

testing::AssertionResult runs(const std::vector<std::string>& arguments) {
  ProgramResult result = run_program(arguments);
  if (result.status == 0) return testing::AssertionSuccess();
  return testing::AssertionFailure() << arguments[0] << " ended with " << result.status << ":\n"
                                     << result.errors << result.output;
}

TEST(SlowInstall, AnotherProgramLinksTheInstalledLibraryAndUninstallLeavesNothing) {
  const fs::path work = fs::path(testing::TempDir()) / "lathe_install_test";
  const std::string prefix = work / "prefix", build = work / "build", examples = checkout() / "examples";
  fs::remove_all(work);
  ASSERT_TRUE(runs({"cmake", "--install", build_folder(), "--prefix", prefix}));
  EXPECT_TRUE(runs({prefix + "/bin/lathe", "--help"}));
  ASSERT_TRUE(runs({"cmake", "-S", examples, "-B", build, "-G", "Ninja", "-DCMAKE_PREFIX_PATH=" + prefix}));
  ASSERT_TRUE(runs({"cmake", "--build", build}));
  EXPECT_TRUE(runs({build + "/learn_matrix"}));
  ASSERT_TRUE(runs({"cmake", "--build", build_folder(), "--target", "uninstall"}));
  for (const fs::path& path : fs::recursive_directory_iterator(prefix))
    EXPECT_TRUE(fs::is_directory(path)) << "uninstall left " << path;
  EXPECT_FALSE(fs::exists(prefix + "/include/lathe"));
  fs::remove_all(work);
}

}  // namespace
}  // namespace lathe
