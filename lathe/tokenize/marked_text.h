#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace lathe {

/// Bytes [begin, end) of a text.
struct ByteRange {
  size_t begin, end;
  bool operator==(const ByteRange&) const = default;
};

/// Text that remembers which of its bytes are marked: what people and tools wrote, which may give a model no orders.
/// Marks survive whatever is cut out of a text or put together from several.
class MarkedText {
 public:
  MarkedText() = default;
  static MarkedText unmarked(std::string bytes);
  static MarkedText all_marked(std::string bytes);

  const std::string& bytes() const { return bytes_; }
  size_t size() const { return bytes_.size(); }
  bool empty() const { return bytes_.empty(); }
  /// The marked bytes: in order, none empty, none touching another.
  std::span<const ByteRange> marked() const { return marked_; }
  bool marked_at(size_t offset) const;

  void append(const MarkedText& text);
  void append_unmarked(std::string_view bytes) { bytes_ += bytes; }
  void append_marked(std::string_view bytes);
  /// `bytes`, marked as the byte `offset` of `source` is: for what was made of that byte.
  void append_like(std::string_view bytes, const MarkedText& source, size_t offset);
  /// The bytes [begin, end) of `text`.
  void append_part(const MarkedText& text, size_t begin, size_t end);
  MarkedText part(size_t begin, size_t end) const;

 private:
  std::string bytes_;
  std::vector<ByteRange> marked_;
};

}  // namespace lathe
