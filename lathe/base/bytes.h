#pragma once

#include <cstddef>
#include <span>
#include <string_view>

namespace lathe {

using Bytes = std::span<const std::byte>;

/// The bytes of a text, and the text of bytes; neither copies.
inline Bytes bytes_of(std::string_view text) { return std::as_bytes(std::span(text.data(), text.size())); }
inline std::string_view text_of(Bytes bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }

}  // namespace lathe
