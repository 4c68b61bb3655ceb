#include <simdjson.h>

#include "lathe/base/error.h"
#include "lathe/base/line_reader.h"
#include "lathe/data/document_reader.h"

namespace lathe::data {
namespace {

/// One JSON object a line, its text in one field. Blank lines count for nothing.
class JsonLines : public DocumentReader {
 public:
  JsonLines(const std::string& path, const ReadOptions& options) : lines_(path), options_(options) {}

  bool next(TextPiece& piece) override {
    std::string_view line;
    while (lines_.next(line)) {
      if (lines_.number() == 1 && line.substr(0, 3) == "\xEF\xBB\xBF") line.remove_prefix(3);
      if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
      if (!read_line(line, piece.text)) continue;
      if (piece.text.empty()) {
        ++left_out_.empty;
        continue;
      }
      piece.ends_document = piece.keep = true;
      return true;
    }
    return false;
  }
  int64_t file_bytes() const override { return lines_.input().file_bytes(); }
  int64_t file_position() const override { return lines_.input().file_position(); }

 private:
  std::string where() const { return text(lines_.input().path(), ", line ", lines_.number()); }

  bool read_line(std::string_view line, std::string& document) {
    line_.assign(line);
    if (!clean_text(line_, options_.invalid_utf8, where())) {
      ++left_out_.invalid_utf8;
      return false;
    }
    const std::string wrong = parse(document);
    if (wrong.empty()) return true;
    require(options_.broken_lines == OnBroken::skip, where(), ": ", wrong,
            ": mend the line, or leave such lines out with --broken-lines skip");
    ++left_out_.broken_lines;
    return false;
  }

  /// Puts the field's text into `document`; otherwise says what is wrong with the line.
  std::string parse(std::string& document) {
    const size_t length = line_.size();
    line_.resize(length + simdjson::SIMDJSON_PADDING, ' ');
    simdjson::dom::element root;
    const simdjson::error_code failure = parser_.parse(line_.data(), length, false).get(root);
    if (failure) return text("is not JSON (", simdjson::error_message(failure), ")");
    simdjson::dom::object object;
    if (root.get(object)) return "is not a JSON object";
    simdjson::dom::element field;
    if (object.at_key(options_.text_field).get(field))
      return text("has no field \"", options_.text_field, "\"", keys(object));
    std::string_view value;
    if (field.get(value)) return text("field \"", options_.text_field, "\" is not a string");
    if (value.find('\0') != std::string_view::npos)
      return text("field \"", options_.text_field, "\" holds a NUL character");
    document.assign(value);
    return "";
  }

  static std::string keys(const simdjson::dom::object& object) {
    std::string list;
    for (const auto& entry : object) {
      if (list.size() > 200) return list + " ...";
      list += text(list.empty() ? "; it has " : ", ", "\"", entry.key, "\"");
    }
    return list.empty() ? "" : list + " (--text-field chooses)";
  }

  LineReader lines_;
  ReadOptions options_;
  std::string line_;
  simdjson::dom::parser parser_;
};

}  // namespace

std::unique_ptr<DocumentReader> open_json_lines(const std::string& path, const ReadOptions& options) {
  return std::make_unique<JsonLines>(path, options);
}

}  // namespace lathe::data
