#pragma once

#include <optional>
#include <vector>

#include "lathe/tokenize/encoding.h"

namespace lathe::tokenize {

/// A piece of a template: a token of its own, or one of the texts.
struct TemplatePiece {
  int text = -1;  // 0, 1; -1: `id`
  TokenId id = 0;
  uint32_t type_id = 0;
};

/// What is put around texts, and how long they may be.
struct PostProcessor {
  std::vector<TemplatePiece> single{{0, 0, 0}}, pair{{0, 0, 0}, {1, 0, 1}};
  bool trims_spans = false;  // without the whitespace at their ends
  std::optional<Truncation> truncation;
  std::optional<Padding> padding;
};

/// Tokens that a template puts there.
int64_t added_by(const std::vector<TemplatePiece>& pieces);

/// Shortens one text, or two, to what `truncation` leaves beside `added` tokens. Throws Error where that is impossible.
void truncate(std::span<Encoding> texts, const Truncation& truncation, int64_t added);

/// The texts, each with ids and spans, as the template puts them together.
Encoding assembled(const std::vector<TemplatePiece>& pieces, std::span<const Encoding> texts);

}  // namespace lathe::tokenize
