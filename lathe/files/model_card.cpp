#include "lathe/files/model_card.h"

#include <filesystem>

#include "lathe/base/gguf.h"
#include "lathe/base/line_reader.h"

namespace lathe {
namespace {

namespace fs = std::filesystem;

/// The value of `field: value`, where the line is that.
bool read_field(std::string_view line, std::string_view field, std::string& value) {
  if (!line.starts_with(field) || line.substr(field.size(), 1) != ":") return false;
  line.remove_prefix(field.size() + 1);
  while (!line.empty() && (line.front() == ' ' || line.front() == '"')) line.remove_prefix(1);
  while (!line.empty() && (line.back() == ' ' || line.back() == '"' || line.back() == '\r')) line.remove_suffix(1);
  value = line;
  return true;
}

/// Of the lines between two of "---", with which such a file begins.
ModelCard of_readme(const std::string& path) {
  ModelCard card;
  LineReader lines(path);
  std::string_view line;
  if (!lines.next(line) || !line.starts_with("---")) return card;
  while (lines.next(line) && !line.starts_with("---"))
    if (!read_field(line, "license", card.license)) read_field(line, "model_name", card.name);
  return card;
}

}  // namespace

ModelCard read_model_card(const std::string& model) {
  if (is_gguf(model)) {
    GgufFile file(model);
    return {file.fields().string("general.name", ""), file.fields().string("general.license", "")};
  }
  ModelCard card;
  if (fs::path readme = fs::path(model) / "README.md"; fs::exists(readme)) card = of_readme(readme.string());
  if (card.name.empty()) card.name = fs::path(model).lexically_normal().filename().string();
  return card;
}

std::string model_card_text(const ModelCard& card) {
  std::string out = "---\n";
  if (!card.license.empty()) out += "license: " + card.license + "\n";
  if (!card.name.empty()) out += "model_name: " + card.name + "\n";
  return out + "---\n";
}

}  // namespace lathe
