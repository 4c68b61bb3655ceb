#pragma once

#include <string>
#include <string_view>

namespace lathe::tokenize {

/// `text` as a JSON string, quotes included. `text` must be UTF-8.
std::string json_quoted(std::string_view text);

}  // namespace lathe::tokenize
