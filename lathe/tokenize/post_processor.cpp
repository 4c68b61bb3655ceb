#include "lathe/tokenize/post_processor.h"

#include <algorithm>

#include "lathe/base/error.h"

namespace lathe {
namespace {

template <class Value>
void pad_list(std::vector<Value>& list, size_t length, Side side, Value value) {
  const size_t missing = length - list.size();
  list.insert(side == Side::left ? list.begin() : list.end(), missing, value);
}

template <class Value>
void keep(std::vector<Value>& list, size_t length, Side taken_from) {
  const auto surplus = static_cast<ptrdiff_t>(list.size() - length);
  if (taken_from == Side::left) list.erase(list.begin(), list.begin() + surplus);
  list.resize(length);
}

void shorten(Encoding& text, int64_t length, Side taken_from) {
  const auto kept = static_cast<size_t>(length);
  if (text.ids.size() <= kept) return;
  keep(text.ids, kept, taken_from);
  keep(text.spans, kept, taken_from);
}

/// The longer text becomes shorter first; where both are too long, each gets half.
void shorten_longest(Encoding& first, Encoding& second, int64_t room, Side taken_from) {
  const auto a = std::ssize(first.ids), b = std::ssize(second.ids);
  int64_t shorter = std::min(a, b), longer = shorter > room ? shorter : std::max(shorter, room - shorter);
  if (shorter + longer > room) {
    shorter = room / 2;
    longer = shorter + room % 2;
  }
  shorten(first, a > b ? longer : shorter, taken_from);
  shorten(second, a > b ? shorter : longer, taken_from);
}

}  // namespace

void pad(std::span<Encoding> encodings, const Padding& padding) {
  size_t length = static_cast<size_t>(padding.fixed_length);
  for (const Encoding& one : encodings) {
    if (padding.fixed_length == 0) length = std::max(length, one.ids.size());
  }
  const auto multiple = static_cast<size_t>(std::max<int64_t>(1, padding.multiple));
  length = (length + multiple - 1) / multiple * multiple;
  for (Encoding& one : encodings) {
    if (one.ids.size() >= length) continue;
    pad_list(one.ids, length, padding.direction, padding.id);
    pad_list(one.type_ids, length, padding.direction, padding.type_id);
    pad_list(one.special, length, padding.direction, uint8_t{1});
    pad_list(one.attention, length, padding.direction, uint8_t{0});
    pad_list(one.spans, length, padding.direction, TextSpan{});
  }
}

namespace tokenize {

int64_t added_by(const std::vector<TemplatePiece>& pieces) {
  return std::count_if(pieces.begin(), pieces.end(), [](const TemplatePiece& piece) { return piece.text < 0; });
}

void truncate(std::span<Encoding> texts, const Truncation& truncation, int64_t added) {
  int64_t total = 0;
  for (const Encoding& text : texts) total += std::ssize(text.ids);
  const int64_t room = truncation.max_length - added;
  require(room >= 0, "truncating to ", truncation.max_length, " tokens: the template alone has ", added);
  if (total <= room) return;
  if (truncation.strategy == TruncationStrategy::longest_first && texts.size() == 2) {
    return shorten_longest(texts[0], texts[1], room, truncation.direction);
  }
  const size_t which = truncation.strategy == TruncationStrategy::only_second ? 1 : 0;
  require(which < texts.size(), "truncating the second text where there is one only");
  const int64_t left = std::ssize(texts[which].ids) - (total - room);
  require(left > 0 || texts.size() == 1, "truncating to ", truncation.max_length, " tokens: text ", which + 1, " of ",
          texts[which].ids.size(), " tokens is too short to lose ", total - room);
  shorten(texts[which], left, truncation.direction);
}

Encoding assembled(const std::vector<TemplatePiece>& pieces, std::span<const Encoding> texts) {
  Encoding all;
  for (const TemplatePiece& piece : pieces) {
    if (piece.text < 0) {
      all.ids.push_back(piece.id);
      all.spans.push_back({});
    } else if (static_cast<size_t>(piece.text) < texts.size()) {
      const Encoding& text = texts[static_cast<size_t>(piece.text)];
      all.ids.insert(all.ids.end(), text.ids.begin(), text.ids.end());
      all.spans.insert(all.spans.end(), text.spans.begin(), text.spans.end());
    }
    all.type_ids.resize(all.ids.size(), piece.type_id);
    all.special.resize(all.ids.size(), piece.text < 0);
  }
  all.attention.resize(all.ids.size(), 1);
  return all;
}

}  // namespace tokenize
}  // namespace lathe
