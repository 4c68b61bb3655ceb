#include "lathe/tokenize/marked_text.h"

#include <algorithm>

namespace lathe {

MarkedText MarkedText::unmarked(std::string bytes) {
  MarkedText text;
  text.bytes_ = std::move(bytes);
  return text;
}

MarkedText MarkedText::all_marked(std::string bytes) {
  MarkedText text = unmarked(std::move(bytes));
  if (!text.bytes_.empty()) text.marked_.push_back({0, text.bytes_.size()});
  return text;
}

bool MarkedText::marked_at(size_t offset) const {
  auto behind = std::upper_bound(marked_.begin(), marked_.end(), offset,
                                 [](size_t at, const ByteRange& range) { return at < range.begin; });
  return behind != marked_.begin() && offset < std::prev(behind)->end;
}

void MarkedText::append(const MarkedText& text) { append_part(text, 0, text.size()); }

void MarkedText::append_marked(std::string_view bytes) {
  if (bytes.empty()) return;
  size_t begin = bytes_.size();
  bytes_ += bytes;
  if (!marked_.empty() && marked_.back().end == begin)
    marked_.back().end = bytes_.size();
  else
    marked_.push_back({begin, bytes_.size()});
}

void MarkedText::append_like(std::string_view bytes, const MarkedText& source, size_t offset) {
  source.marked_at(offset) ? append_marked(bytes) : append_unmarked(bytes);
}

void MarkedText::append_part(const MarkedText& text, size_t begin, size_t end) {
  std::string_view bytes = text.bytes_;
  auto range = std::partition_point(text.marked_.begin(), text.marked_.end(),
                                    [&](const ByteRange& marked) { return marked.end <= begin; });
  for (; begin < end; ++range) {
    if (range == text.marked_.end() || range->begin >= end) return append_unmarked(bytes.substr(begin, end - begin));
    if (begin < range->begin) append_unmarked(bytes.substr(begin, range->begin - begin));
    size_t from = std::max(begin, range->begin), to = std::min(end, range->end);
    append_marked(bytes.substr(from, to - from));
    begin = to;
  }
}

MarkedText MarkedText::part(size_t begin, size_t end) const {
  MarkedText text;
  text.append_part(*this, begin, end);
  return text;
}

}  // namespace lathe
