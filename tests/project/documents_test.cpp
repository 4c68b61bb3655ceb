// What the documents quote from the code is there.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <regex>
#include <string>
#include <vector>

#include "tests/support/checkout.h"

namespace lathe {
namespace {

namespace fs = std::filesystem;

std::string content(const fs::path& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::vector<fs::path> documents() {
  std::vector<fs::path> all;
  for (const char* folder : {"", "docs"})
    for (const auto& entry : fs::directory_iterator(checkout() / folder))
      if (entry.path().extension() == ".md") all.push_back(entry.path());
  return all;
}

/// The code blocks of a page that begin with a comment that is a path; without it.
struct Excerpt {
  std::string file, code;
};
std::vector<Excerpt> excerpts(const std::string& page) {
  static const std::string kBegin = "```cpp\n// ";
  std::vector<Excerpt> all;
  for (size_t begin = page.find(kBegin); begin != std::string::npos; begin = page.find(kBegin, begin + 1)) {
    size_t file = begin + kBegin.size(), code = page.find('\n', file) + 1;
    all.push_back({page.substr(file, code - 1 - file), page.substr(code, page.find("```", code) - code)});
  }
  return all;
}

/// The first stretch of `excerpt` between lines "// ..." that `file` does not hold; empty: it holds all, in order.
std::string missing(const std::string& excerpt, const std::string& file) {
  static const std::string kLeftOut = "// ...\n";
  size_t place = 0;
  for (size_t begin = 0; begin < excerpt.size();) {
    size_t end = std::min(excerpt.find(kLeftOut, begin), excerpt.size());
    std::string stretch = excerpt.substr(begin, end - begin);
    place = file.find(stretch, place);
    if (place == std::string::npos) return stretch;
    begin = end + kLeftOut.size();
  }
  return "";
}

/// Words in backquotes with a slash and an extension, and no placeholder: paths from the root or within lathe/.
std::vector<std::string> named_files(const std::string& page) {
  static const std::regex path("`([\\w.]+/[\\w./-]+\\.(?:h|cpp|cu|cuh|md|toml|py))`");
  std::vector<std::string> all;
  for (std::sregex_iterator match(page.begin(), page.end(), path), end; match != end; ++match)
    all.push_back((*match)[1]);
  return all;
}

TEST(Documents, QuoteCodeAsItStands) {
  size_t quoted = 0;
  for (const fs::path& page : documents())
    for (const Excerpt& excerpt : excerpts(content(page))) {
      std::string lost = missing(excerpt.code, content(checkout() / excerpt.file));
      EXPECT_EQ(lost, "") << page.filename() << " quotes from " << excerpt.file << " what is not there";
      ++quoted;
    }
  EXPECT_GT(quoted, 0u);
}

TEST(Documents, NameFilesThatExist) {
  size_t named = 0;
  for (const fs::path& page : documents())
    for (const std::string& name : named_files(content(page))) {
      EXPECT_TRUE(fs::exists(checkout() / name) || fs::exists(checkout() / "lathe" / name))
          << page.filename() << " names " << name << ", which is not there";
      ++named;
    }
  EXPECT_GT(named, 0u);
}

TEST(Documents, AreFoundWrongWhereTheyQuoteWhatIsNotThere) {
  std::string page = "```cpp\n// a/b.h\nint x;\n// ...\nint y;\n```\n`a/b.h` and `a/<name>.h`\n";
  ASSERT_EQ(excerpts(page).size(), 1u);
  EXPECT_EQ(missing(excerpts(page)[0].code, "int x;\nint z;\nint y;\n"), "");
  EXPECT_EQ(missing(excerpts(page)[0].code, "int y;\nint x;\n"), "int y;\n");
  EXPECT_EQ(named_files(page), std::vector<std::string>{"a/b.h"});
}

}  // namespace
}  // namespace lathe
