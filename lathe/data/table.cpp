#include "lathe/data/table.h"

#include <algorithm>

#include "lathe/base/error.h"
#include "lathe/data/document_reader.h"

namespace lathe::data {

TableReader::TableReader(const std::string& path, char delimiter)
    : input_(path), delimiter_(delimiter), block_(size_t{1} << 18, '\0') {
  peek();
  if (filled_ >= 3 && block_.compare(0, 3, "\xEF\xBB\xBF") == 0) at_ = 3;
}

int TableReader::peek() {
  if (at_ == filled_) {
    filled_ = static_cast<size_t>(input_.read(block_));
    at_ = 0;
  }
  return at_ == filled_ ? kEnd : static_cast<unsigned char>(block_[at_]);
}

int TableReader::take() {
  const int c = peek();
  if (c != kEnd) ++at_;
  if (c == '\n') ++line_;
  return c;
}

void TableReader::read_quoted(std::string& field, std::string& wrong) {
  take();
  while (true) {
    const int c = take();
    if (c == '"' && peek() != '"') break;
    if (c == '"') take();
    if (c == kEnd || field.size() > kLongestRecord) {
      wrong =
          c == kEnd ? "has a quote that is not closed before the end of the file" : "has a quoted field without end";
      return;
    }
    field.push_back(static_cast<char>(c));
  }
  if (peek() == '\r') take();
  const int behind = peek();
  if (behind != delimiter_ && behind != '\n' && behind != kEnd) wrong = "has text behind a closing quote";
}

void TableReader::read_plain(std::string& field, std::string& wrong) {
  for (int c = peek(); c != delimiter_ && c != '\n' && c != kEnd; c = peek()) {
    field.push_back(static_cast<char>(take()));
    if (field.size() > kLongestRecord) {
      wrong = "is too long for a record";
      return;
    }
  }
  if (!field.empty() && field.back() == '\r' && peek() != delimiter_) field.pop_back();
}

void TableReader::skip_line() {
  while (peek() != '\n' && peek() != kEnd) take();
  take();
}

bool TableReader::next(std::vector<std::string>& fields, std::string& wrong) {
  wrong.clear();
  while (peek() == '\n' || peek() == '\r') take();
  if (peek() == kEnd) return false;
  record_line_ = line_;
  size_t count = 0;
  while (true) {
    if (count == fields.size()) fields.emplace_back();
    std::string& field = fields[count++];
    field.clear();
    peek() == '"' ? read_quoted(field, wrong) : read_plain(field, wrong);
    if (!wrong.empty() || peek() != delimiter_) break;
    take();
  }
  fields.resize(count);
  skip_line();
  return true;
}

namespace {

/// One document a record, its text in one column.
class Table : public DocumentReader {
 public:
  Table(const std::string& path, const ReadOptions& options, char delimiter)
      : records_(path, delimiter), options_(options) {
    std::string wrong;
    if (!options.header) {
      column_ = static_cast<size_t>(std::max(0, std::atoi(options.text_field.c_str())));
      require(column_ >= 1, path, ": without a header, --text-field must be a column's number from 1, not \"",
              options.text_field, "\"");
      --column_;
    } else if (records_.next(fields_, wrong)) {
      require(wrong.empty(), path, ", line ", records_.line(), ": the header ", wrong);
      column_ = column_named(path);
    } else {
      ++left_out_.empty;
    }
  }

  bool next(TextPiece& piece) override {
    std::string wrong;
    while (records_.next(fields_, wrong)) {
      if (wrong.empty() && fields_.size() <= column_)
        wrong = text("has ", fields_.size(), " fields, no number ", column_ + 1);
      if (!wrong.empty()) {
        require(options_.broken_lines == OnBroken::skip, where(), ": ", wrong,
                ": mend it, or leave such records out with --broken-lines skip");
        ++left_out_.broken_lines;
      } else if (fields_[column_].empty()) {
        ++left_out_.empty;
      } else if (!clean_text(fields_[column_], options_.invalid_utf8, where())) {
        ++left_out_.invalid_utf8;
      } else {
        piece.text = fields_[column_];
        piece.ends_document = piece.keep = true;
        return true;
      }
    }
    return false;
  }
  int64_t file_bytes() const override { return records_.input().file_bytes(); }
  int64_t file_position() const override { return records_.input().file_position(); }

 private:
  std::string where() const { return text(records_.input().path(), ", line ", records_.line()); }

  size_t column_named(const std::string& path) const {
    const auto found = std::find(fields_.begin(), fields_.end(), options_.text_field);
    std::string names;
    for (const std::string& field : fields_) names += (names.empty() ? "\"" : ", \"") + field.substr(0, 40) + "\"";
    require(found != fields_.end(), path, ": has no column \"", options_.text_field, "\" but ", names.substr(0, 400),
            ": choose one with --text-field, or a number with --no-header");
    return static_cast<size_t>(found - fields_.begin());
  }

  TableReader records_;
  ReadOptions options_;
  size_t column_ = 0;
  std::vector<std::string> fields_;
};

}  // namespace

std::unique_ptr<DocumentReader> open_table(const std::string& path, const ReadOptions& options, char delimiter) {
  return std::make_unique<Table>(path, options, delimiter);
}

}  // namespace lathe::data
