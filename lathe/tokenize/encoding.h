#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace lathe {

using TokenId = uint32_t;

/// Which bytes a token stands for: `begin` to `end` of text 0, or of text 1, the second of a pair. Tokens that a
/// template or padding put there have text -1.
struct TextSpan {
  int text = -1;
  size_t begin = 0, end = 0;
  bool operator==(const TextSpan&) const = default;
};

/// A text, or a pair of texts, ready for a model that reads whole sequences; all lists have one entry a token.
struct Encoding {
  std::vector<TokenId> ids;
  std::vector<uint32_t> type_ids;  // token_type_ids: which part of a pair, as the template says
  std::vector<uint8_t> special;    // 1: put there by the template or padding
  std::vector<uint8_t> attention;  // 0: padding
  std::vector<TextSpan> spans;
};

enum class Side : uint8_t { left, right };
enum class TruncationStrategy : uint8_t { longest_first, only_first, only_second };

/// How texts that are too long lose tokens, those of the template aside; fields as in tokenizer.json.
struct Truncation {
  int64_t max_length = INT64_MAX;  // tokens, the template's included
  TruncationStrategy strategy = TruncationStrategy::longest_first;
  Side direction = Side::right;  // where tokens are taken away
};

/// How sequences of a batch become equally long.
struct Padding {
  int64_t fixed_length = 0;  // 0: as long as the longest
  int64_t multiple = 1;      // and then a multiple of this
  Side direction = Side::right;
  TokenId id = 0;
  uint32_t type_id = 0;
};

/// Pads all of `encodings` to one length.
void pad(std::span<Encoding> encodings, const Padding& padding);

}  // namespace lathe
