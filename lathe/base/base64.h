#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace lathe {

/// `bytes` in base64 (RFC 4648), padded.
std::string base64_encoded(std::string_view bytes);

/// The bytes that `text` encodes, padded or not; nullopt when it is no base64.
std::optional<std::string> base64_decoded(std::string_view text);

}  // namespace lathe
