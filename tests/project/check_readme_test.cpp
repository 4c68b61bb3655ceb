#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "tests/support/checkout.h"
#include "tests/support/program.h"

namespace lathe {
namespace {

/// What script/check_readme says of a page with one code block, given a `lathe` that has `data show --file` alone.
class CheckReadme : public testing::Test {
 protected:
  CheckReadme() {
    std::filesystem::create_directories(folder_);
    std::ofstream(folder_ / "lathe") << "#!/bin/sh\n"
                                        "case \"$*\" in\n"
                                        "'data show --help') echo '  --file TEXT' ;;\n"
                                        "'data --help') printf 'Subcommands:\\n  show   prints\\n' ;;\n"
                                        "*) printf 'Subcommands:\\n  data   more\\n' ;;\n"
                                        "esac\n";
    std::filesystem::permissions(folder_ / "lathe", std::filesystem::perms::owner_all);
  }
  ~CheckReadme() override { std::filesystem::remove_all(folder_); }

  std::string complaint(const std::string& line) {
    std::ofstream(folder_ / "page.md") << "lathe not-in-a-block\n```\n" << line << "\n```\n";
    return run_program({"env", "LATHE_PROGRAM=" + (folder_ / "lathe").string(), checkout() / "script" / "check_readme",
                        folder_ / "page.md"})
        .output;
  }

 private:
  std::filesystem::path folder_ = std::filesystem::path(testing::TempDir()) / "check_readme_test";
};

TEST_F(CheckReadme, AcceptsCommandsAndOptionsThatExist) {
  EXPECT_EQ(complaint("lathe data show --file=x shards | head   # the first"), "");
  EXPECT_EQ(complaint("$ script/build"), "");
  EXPECT_EQ(complaint("cat lathe nonsense"), "");
}

TEST_F(CheckReadme, NamesWhatDoesNotExist) {
  EXPECT_NE(complaint("lathe nonsense").find("no command 'nonsense'"), std::string::npos);
  EXPECT_NE(complaint("lathe data nonsense").find("no command 'nonsense'"), std::string::npos);
  EXPECT_NE(complaint("lathe data show --size 3").find("no option --size"), std::string::npos);
  EXPECT_NE(complaint("script/nonsense").find("no script/nonsense"), std::string::npos);
}

}  // namespace
}  // namespace lathe
