#include "lathe/data/corpus_files.h"

#include <glob.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <set>

#include "lathe/base/error.h"

namespace lathe::data {
namespace {

namespace fs = std::filesystem;

bool ends_with(const std::string& text, std::string_view end) {
  return text.size() >= end.size() && text.compare(text.size() - end.size(), end.size(), end) == 0;
}

std::string without_compression(const std::string& path) {
  if (ends_with(path, ".gz")) return path.substr(0, path.size() - 3);
  if (ends_with(path, ".zst")) return path.substr(0, path.size() - 4);
  return path;
}

bool named_as_text(const std::string& path) {
  const std::string name = without_compression(path);
  const std::array<std::string_view, 7> ends = {".txt", ".text", ".md", ".jsonl", ".ndjson", ".csv", ".tsv"};
  return std::any_of(ends.begin(), ends.end(), [&](std::string_view end) { return ends_with(name, end); });
}

std::vector<std::string> files_below(const std::string& directory) {
  std::vector<std::string> files;
  std::error_code failure;
  fs::recursive_directory_iterator it(directory, fs::directory_options::follow_directory_symlink, failure), end;
  for (; !failure && it != end; it.increment(failure)) {
    const std::string name = it->path().filename().string();
    if (name[0] == '.') {
      it.disable_recursion_pending();
    } else if (it->is_regular_file() && named_as_text(name)) {
      files.push_back(it->path().string());
    }
  }
  require(!failure, directory, ": cannot be listed: ", failure.message());
  require(!files.empty(), directory,
          ": holds no text file (.txt .text .md .jsonl .ndjson .csv .tsv, also .gz and .zst)");
  return files;
}

std::vector<std::string> files_matching(const std::string& pattern) {
  glob_t found{};
  const int status = glob(pattern.c_str(), GLOB_NOSORT, nullptr, &found);
  std::vector<std::string> files;
  for (size_t i = 0; status == 0 && i < found.gl_pathc; ++i)
    if (fs::is_regular_file(found.gl_pathv[i])) files.emplace_back(found.gl_pathv[i]);
  globfree(&found);
  const bool is_pattern = pattern.find_first_of("*?[") != std::string::npos;
  require(!files.empty(), pattern, is_pattern ? ": matches no file" : ": no such file or directory");
  return files;
}

}  // namespace

TextFormat format_of(const std::string& path) {
  const std::string name = without_compression(path);
  if (ends_with(name, ".jsonl") || ends_with(name, ".ndjson")) return TextFormat::json_lines;
  if (ends_with(name, ".csv")) return TextFormat::csv;
  if (ends_with(name, ".tsv")) return TextFormat::tsv;
  return TextFormat::plain;
}

std::vector<std::string> find_text_files(const std::vector<std::string>& inputs) {
  require(!inputs.empty(), "data: no input given");
  std::vector<std::string> files;
  std::set<fs::path> seen;
  for (const std::string& input : inputs) {
    std::vector<std::string> some;
    if (fs::is_directory(input))
      some = files_below(input);
    else if (fs::exists(input))
      some = {input};
    else
      some = files_matching(input);
    std::sort(some.begin(), some.end());
    for (std::string& file : some)
      if (seen.insert(fs::weakly_canonical(file)).second) files.push_back(std::move(file));
  }
  return files;
}

}  // namespace lathe::data
