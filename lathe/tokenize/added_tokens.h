#pragma once

#include <array>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "lathe/tokenize/marked_text.h"
#include "lathe/tokenize/tokenizer.h"

namespace lathe::tokenize {

/// A part of a text: an added token's occurrence (with the whitespace it takes along), or what lies between two.
struct Segment {
  std::string_view text;
  const AddedToken* token = nullptr;
};

/// Finds added tokens in text: leftmost first, of those the longest.
class AddedTokenFinder {
 public:
  /// Looks for patterns[i] to find tokens[i]; both must outlive it.
  void add(const std::string& pattern, const AddedToken& token);

  /// The next segment of `text` from `offset` < text.size() on; moves `offset` behind it. No byte of a token is one of
  /// `ordinary`, which are in order.
  Segment next(std::string_view text, size_t& offset, std::span<const ByteRange> ordinary = {}) const;

  bool empty() const { return by_pattern_.empty(); }
  /// True when no token holds or takes whitespace, so that text may be cut before a space.
  bool keeps_off_spaces() const { return keeps_off_spaces_; }

 private:
  struct Match {
    size_t start, end;
    const AddedToken* token;
  };
  size_t candidate(std::string_view text, size_t from) const;
  Match find(std::string_view text, size_t from, std::span<const ByteRange> ordinary) const;
  const AddedToken* longest_at(std::string_view text, size_t at, std::span<const ByteRange> ordinary,
                               size_t& bytes) const;

  std::unordered_map<std::string, const AddedToken*> by_pattern_;
  std::array<std::vector<size_t>, 256> lengths_;  // of the patterns that start with this byte, longest first
  std::string first_bytes_;
  bool keeps_off_spaces_ = true;
};

}  // namespace lathe::tokenize
