#include "lathe/cli/reading_options.h"

#include <utility>
#include <vector>

#include "lathe/cli/command_line.h"
#include "lathe/cli/escapes.h"

namespace lathe::cli {
namespace {

/// A word on the command line for each value.
template <class Value>
void add_choice(CommandLine app, const std::string& name, Value& value,
                const std::vector<std::pair<std::string, Value>>& choices, const std::string& help) {
  std::vector<std::string> words;
  for (const auto& [word, meaning] : choices) words.push_back(word);
  auto choose = [&value, choices](const std::string& given) {
    for (const auto& [word, meaning] : choices)
      if (word == given) value = meaning;
  };
  app.add_option_function<std::string>(name, choose, help).one_of(words);
}

}  // namespace

void declare_reading(CommandLine app, data::ReadOptions& read) {
  using Format = data::TextFormat;
  add_choice<Format>(app, "--format", read.format,
                     {{"auto", Format::automatic},
                      {"txt", Format::plain},
                      {"jsonl", Format::json_lines},
                      {"csv", Format::csv},
                      {"tsv", Format::tsv}},
                     "auto: by name; gzip and zstd are recognized in any");
  app.add_option("--text-field", read.text_field, "JSON field or table column that holds the text")
      .capture_default_str();
  app.add_flag_callback(
      "--no-header", [&read] { read.header = false; },
      "the table has no header; --text-field is a column number from 1");
  app.add_option_function<std::string>(
         "--document-separator", [&read](const std::string& text) { read.document_separator = unescaped(text); },
         "cuts a txt file into documents; \\n and \\t work")
      .type_name("TEXT");
  add_choice<data::OnBroken>(app, "--broken-lines", read.broken_lines,
                             {{"stop", data::OnBroken::stop}, {"skip", data::OnBroken::skip}},
                             "stop (default) at lines that cannot be read, or skip and count them");
  add_choice<data::OnInvalidUtf8>(app, "--invalid-utf8", read.invalid_utf8,
                                  {{"error", data::OnInvalidUtf8::stop},
                                   {"replace", data::OnInvalidUtf8::replace},
                                   {"skip", data::OnInvalidUtf8::skip}},
                                  "error (default), replace it by U+FFFD, or skip the document");
}

}  // namespace lathe::cli
