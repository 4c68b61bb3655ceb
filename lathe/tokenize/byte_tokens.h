#pragma once

#include <array>
#include <optional>
#include <string_view>

#include "lathe/tokenize/vocabulary.h"

namespace lathe::tokenize {

/// SentencePiece's tokens for bytes, spelt <0x00> to <0xFF>, by byte; UINT32_MAX for those that are missing.
std::array<TokenId, 256> byte_tokens(const Vocabulary& vocabulary);

/// The byte that a token of this spelling stands for.
std::optional<char> byte_of_token(std::string_view spelling);

}  // namespace lathe::tokenize
