#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace lathe::tokenize {

/// Bytes `begin` to `end` of a text.
struct Span {
  size_t begin = 0, end = 0;
};

/// A text made out of another, step by step, that can know for each of its bytes which bytes of the first text it
/// stands for. One that does not track costs no more than a string.
class TrackedText {
 public:
  explicit TrackedText(bool tracks = false) : tracks_(tracks) {}
  /// `text`, whose first byte is byte `start` of the text to point into.
  TrackedText(std::string_view text, bool tracks, size_t start = 0);

  const std::string& text() const { return text_; }
  bool tracks() const { return tracks_; }
  /// What bytes `begin` to `end` stand for; an empty span where nothing is tracked.
  Span origin(size_t begin, size_t end) const;

  void clear() { text_.clear(), origins_.clear(); }
  /// Appends bytes `begin` to `end` of `source` as they are.
  void keep(const TrackedText& source, size_t begin, size_t end);
  /// Appends `bytes`, which stand for bytes `begin` to `end` of `source`.
  void replace(const TrackedText& source, size_t begin, size_t end, std::string_view bytes);

 private:
  std::string text_;
  std::vector<Span> origins_;  // of each byte, when it tracks
  bool tracks_;
};

}  // namespace lathe::tokenize
