#include "lathe/cli/reading_options.h"

#include <CLI/CLI.hpp>
#include <map>

#include "lathe/cli/escapes.h"

namespace lathe::cli {
namespace {

template <class Value>
void add_choice(CLI::App& app, const std::string& name, Value& value, const std::map<std::string, Value>& choices,
                const std::string& help) {
  app.add_option(name, value, help)->transform(CLI::CheckedTransformer(choices).description(""))->type_name("WORD");
}

}  // namespace

void declare_reading(CLI::App& app, data::ReadOptions& read) {
  using Format = data::TextFormat;
  add_choice<Format>(app, "--format", read.format,
                     {{"auto", Format::automatic},
                      {"txt", Format::plain},
                      {"jsonl", Format::json_lines},
                      {"csv", Format::csv},
                      {"tsv", Format::tsv}},
                     "auto (by name), txt, jsonl, csv or tsv; gzip and zstd are recognized in any");
  app.add_option("--text-field", read.text_field, "JSON field or table column that holds the text")
      ->capture_default_str();
  app.add_flag_callback(
      "--no-header", [&read] { read.header = false; },
      "the table has no header; --text-field is a column number from 1");
  app.add_option_function<std::string>(
         "--document-separator", [&read](const std::string& text) { read.document_separator = unescaped(text); },
         "cuts a txt file into documents; \\n and \\t work")
      ->type_name("TEXT");
  add_choice<data::OnBroken>(app, "--broken-lines", read.broken_lines,
                             {{"stop", data::OnBroken::stop}, {"skip", data::OnBroken::skip}},
                             "stop (default) at a line that cannot be read, or skip and count it");
  add_choice<data::OnInvalidUtf8>(app, "--invalid-utf8", read.invalid_utf8,
                                  {{"error", data::OnInvalidUtf8::stop},
                                   {"replace", data::OnInvalidUtf8::replace},
                                   {"skip", data::OnInvalidUtf8::skip}},
                                  "error (default), replace by U+FFFD, or skip the document");
}

}  // namespace lathe::cli
