#include "lathe/base/error.h"
#include "lathe/base/text_input.h"
#include "lathe/data/document_reader.h"
#include "lathe/data/text_cut.h"

namespace lathe::data {
namespace {

constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

/// A file as one document, or cut at each separator.
class PlainText : public DocumentReader {
 public:
  PlainText(const std::string& path, const ReadOptions& options)
      : input_(path), options_(options), block_(static_cast<size_t>(options.piece_bytes), '\0') {
    fill();
    if (std::string_view(buffer_).substr(0, 3) == kByteOrderMark) begin_ = 3;
    if (begin_ == buffer_.size()) ++left_out_.empty;
  }

  bool next(TextPiece& piece) override {
    while (true) {
      fill();
      if (begin_ == buffer_.size()) return false;
      const int64_t start = position_;
      take(piece);
      if (piece.text.empty() && piece.ends_document && !in_document_) {
        ++left_out_.empty;
        continue;
      }
      check(piece, start);
      return true;
    }
  }
  int64_t file_bytes() const override { return input_.file_bytes(); }
  int64_t file_position() const override { return input_.file_position(); }

 private:
  /// Makes enough text wait that a separator which begins in the longest piece is seen whole.
  void fill() {
    const size_t wanted = block_.size() + options_.document_separator.size() + 1;
    while (!ended_ && buffer_.size() - begin_ < wanted) {
      buffer_.erase(0, begin_);
      begin_ = 0;
      const auto count = static_cast<size_t>(input_.read(block_));
      buffer_.append(block_, 0, count);
      ended_ = count < block_.size();
    }
  }

  /// Takes the text up to the next separator, the longest piece that may be cut off, or all that is left.
  void take(TextPiece& piece) {
    const std::string& separator = options_.document_separator;
    const std::string_view rest = std::string_view(buffer_).substr(begin_);
    const std::string_view seen = rest.substr(0, block_.size() + separator.size());
    const size_t end = separator.empty() ? std::string_view::npos : seen.find(separator);
    const bool found = end != std::string_view::npos;
    piece.ends_document = found || rest.size() <= block_.size();
    piece.text = rest.substr(0, found ? end : piece.ends_document ? rest.size() : safe_cut(rest, block_.size()));
    const size_t taken = piece.text.size() + (found ? separator.size() : 0);
    begin_ += taken;
    position_ += static_cast<int64_t>(taken);
  }

  /// Cleans the piece and keeps track of whether its document is still wanted.
  void check(TextPiece& piece, int64_t start) {
    if (!clean_text(piece.text, options_.invalid_utf8, text(input_.path(), ", after byte ", start))) {
      spoilt_ = true;
      piece.text.clear();
    }
    piece.keep = !spoilt_;
    in_document_ = !piece.ends_document;
    if (in_document_ || !spoilt_) return;
    ++left_out_.invalid_utf8;
    spoilt_ = false;
  }

  TextInput input_;
  ReadOptions options_;
  std::string block_;
  std::string buffer_;
  size_t begin_ = 0;      // of what was not given yet
  int64_t position_ = 0;  // of the same in the text
  bool ended_ = false;
  bool in_document_ = false;  // pieces of the document were given, but not its end
  bool spoilt_ = false;       // one of them was not UTF-8
};

}  // namespace

std::unique_ptr<DocumentReader> open_plain_text(const std::string& path, const ReadOptions& options) {
  require(options.piece_bytes >= 16, "data: pieces of ", options.piece_bytes, " bytes are too short");
  return std::make_unique<PlainText>(path, options);
}

}  // namespace lathe::data
