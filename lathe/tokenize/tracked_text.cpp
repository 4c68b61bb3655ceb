#include "lathe/tokenize/tracked_text.h"

namespace lathe::tokenize {

TrackedText::TrackedText(std::string_view text, bool tracks, size_t start) : text_(text), tracks_(tracks) {
  if (!tracks) return;
  origins_.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) origins_.push_back({start + i, start + i + 1});
}

Span TrackedText::origin(size_t begin, size_t end) const {
  if (origins_.empty()) return {};
  if (begin >= end) {  // between two bytes
    const size_t at = begin < origins_.size() ? origins_[begin].begin : origins_.back().end;
    return {at, at};
  }
  return {origins_[begin].begin, origins_[end - 1].end};
}

void TrackedText::keep(const TrackedText& source, size_t begin, size_t end) {
  text_.append(source.text_, begin, end - begin);
  if (!tracks_) return;
  const auto first = source.origins_.begin();
  origins_.insert(origins_.end(), first + static_cast<ptrdiff_t>(begin), first + static_cast<ptrdiff_t>(end));
}

void TrackedText::replace(const TrackedText& source, size_t begin, size_t end, std::string_view bytes) {
  text_.append(bytes);
  if (tracks_) origins_.insert(origins_.end(), bytes.size(), source.origin(begin, end));
}

}  // namespace lathe::tokenize
