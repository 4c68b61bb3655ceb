#pragma once

#include <cstdint>
#include <string_view>

/// Text as Python sees it: by characters. All texts are UTF-8.
namespace lathe::jinja {

/// What str.isspace() and strip() call whitespace.
bool is_space(char32_t character);
std::string_view trimmed_front(std::string_view text);
std::string_view trimmed_back(std::string_view text);

int64_t character_count(std::string_view text);
/// Where character `index` begins; the size of `text` behind the last.
size_t character_offset(std::string_view text, int64_t index);
/// Bytes of the character that begins at `offset`.
size_t character_bytes(std::string_view text, size_t offset);

/// Whether repr() shows it as it is.
bool is_printable(char32_t character);

}  // namespace lathe::jinja
