#pragma once

#include <string>
#include <vector>

namespace lathe::data {

enum class TextFormat { automatic, plain, json_lines, csv, tsv };

/// What the name says: .jsonl and .ndjson, .csv, .tsv, each also with .gz or .zst; anything else is plain text.
TextFormat format_of(const std::string& path);

/// The text files that `inputs` mean, in an order that depends on their names only: a file stands for itself, a
/// directory for the files below it that have a text name (.txt .text .md .jsonl .ndjson .csv .tsv, also .gz and .zst;
/// hidden ones left out), and what is neither for the files that match it as a pattern with * ? [...]. A file named
/// twice comes once, where it was named first. Throws Error naming the input that means no file.
std::vector<std::string> find_text_files(const std::vector<std::string>& inputs);

}  // namespace lathe::data
