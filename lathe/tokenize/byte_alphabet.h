#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace lathe::tokenize {

/// The printable character that byte-level tokenizers write for each byte (Radford et al. 2019): itself where Latin-1
/// prints, else U+0100 and on, in order.
const std::array<uint32_t, 256>& byte_characters();

/// `bytes` spelt in those characters, as UTF-8.
std::string spell_bytes(std::string_view bytes);

/// The bytes that `spelling` stands for; nullopt when a character of it stands for none.
std::optional<std::string> spelt_bytes(std::string_view spelling);

}  // namespace lathe::tokenize
