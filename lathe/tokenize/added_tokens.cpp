#include "lathe/tokenize/added_tokens.h"

#include <algorithm>
#include <cstring>

#include "lathe/tokenize/characters.h"

namespace lathe::tokenize {
namespace {

/// Class bits of the character that ends at `at`.
uint8_t class_before(std::string_view text, size_t at, size_t& start) {
  start = at - 1;
  while (start > 0 && at - start < 4 && continues(static_cast<unsigned char>(text[start]))) --start;
  return class_of(character_at(text.data() + start, text.data() + at).code);
}

uint8_t class_at(std::string_view text, size_t at, size_t& end) {
  const Character c = character_at(text.data() + at, text.data() + text.size());
  end = at + c.bytes;
  return class_of(c.code);
}

bool stands_alone(std::string_view text, size_t start, size_t end) {
  size_t ignored;
  const bool word_before = start > 0 && (class_before(text, start, ignored) & kWord);
  const bool word_after = end < text.size() && (class_at(text, end, ignored) & kWord);
  return !word_before && !word_after;
}

/// Whether one of `ranges`, which are in order, has bytes of [begin, end).
bool any_within(std::span<const ByteRange> ranges, size_t begin, size_t end) {
  auto after = std::partition_point(ranges.begin(), ranges.end(), [&](ByteRange range) { return range.end <= begin; });
  return after != ranges.end() && after->begin < end;
}

size_t spaces_start(std::string_view text, size_t at) {
  for (size_t start = at; at > 0 && (class_before(text, at, start) & kSpace);) at = start;
  return at;
}

size_t spaces_end(std::string_view text, size_t at) {
  for (size_t end = at; at < text.size() && (class_at(text, at, end) & kSpace);) at = end;
  return at;
}

}  // namespace

void AddedTokenFinder::add(const std::string& pattern, const AddedToken& token) {
  if (pattern.empty()) return;
  by_pattern_[pattern] = &token;
  std::vector<size_t>& lengths = lengths_[static_cast<unsigned char>(pattern[0])];
  if (lengths.empty()) first_bytes_ += pattern[0];
  if (std::find(lengths.begin(), lengths.end(), pattern.size()) == lengths.end()) lengths.push_back(pattern.size());
  std::sort(lengths.begin(), lengths.end(), std::greater<>());
  const bool holds_space = pattern.find_first_of(" \n") != std::string::npos;
  keeps_off_spaces_ = keeps_off_spaces_ && !holds_space && !token.lstrip && !token.rstrip;
}

/// Where a pattern may start, at `from` or after it.
size_t AddedTokenFinder::candidate(std::string_view text, size_t from) const {
  if (first_bytes_.size() == 1) return text.find(first_bytes_[0], from);
  while (from < text.size() && lengths_[static_cast<unsigned char>(text[from])].empty()) ++from;
  return from < text.size() ? from : std::string_view::npos;
}

const AddedToken* AddedTokenFinder::longest_at(std::string_view text, size_t at, std::span<const ByteRange> ordinary,
                                               size_t& bytes) const {
  for (const size_t length : lengths_[static_cast<unsigned char>(text[at])]) {
    if (at + length > text.size() || any_within(ordinary, at, at + length)) continue;
    const auto found = by_pattern_.find(std::string(text.substr(at, length)));
    if (found == by_pattern_.end()) continue;
    bytes = length;
    return found->second;
  }
  return nullptr;
}

/// The first occurrence at `from` or behind, with the whitespace it takes along.
AddedTokenFinder::Match AddedTokenFinder::find(std::string_view text, size_t from,
                                               std::span<const ByteRange> ordinary) const {
  if (first_bytes_.empty()) return {text.size(), text.size(), nullptr};
  for (size_t at = candidate(text, from); at != std::string_view::npos; at = candidate(text, at)) {
    size_t bytes = 0;
    const AddedToken* token = longest_at(text, at, ordinary, bytes);
    if (!token) {
      ++at;
      continue;
    }
    size_t start = at, end = at + bytes;
    at = end;
    if (token->single_word && !stands_alone(text, start, end)) continue;
    if (token->lstrip) start = std::max(from, spaces_start(text, start));
    if (token->rstrip) end = spaces_end(text, end);
    return {start, end, token};
  }
  return {text.size(), text.size(), nullptr};
}

Segment AddedTokenFinder::next(std::string_view text, size_t& offset, std::span<const ByteRange> ordinary) const {
  const size_t from = offset;
  const Match match = find(text, from, ordinary);
  offset = match.start > from ? match.start : match.end;
  if (match.start > from) return {text.substr(from, match.start - from), nullptr};
  return {text.substr(from, match.end - from), match.token};
}

}  // namespace lathe::tokenize
