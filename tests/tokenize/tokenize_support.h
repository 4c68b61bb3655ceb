#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "lathe/tokenize/trainer.h"

namespace lathe::test {

/// The tokenizer that training on these texts gives.
Tokenizer trained_on(const std::vector<std::string_view>& texts, TokenizerTraining training = {});

/// A tokenizer.json of byte-level BPE: all bytes, "the", " the", "cat"; then what `added` lists as added_tokens, whose
/// ids begin at kFirstAdded, and the fields `more` (each with a comma behind).
inline constexpr TokenId kFirstAdded = 262;
std::string byte_level_json(const std::string& added = "", const std::string& more = "");

/// Spellings of these ids, joined by '|'.
std::string pieces(const Tokenizer& tokenizer, const std::vector<TokenId>& ids);
inline std::string pieces(const Tokenizer& tokenizer, std::string_view text) {
  return pieces(tokenizer, tokenizer.encode(text));
}

/// `count` bytes that a seed chooses; about half of them letters, so that words form.
std::string random_bytes(uint64_t seed, size_t count);

}  // namespace lathe::test
