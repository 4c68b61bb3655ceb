#pragma once

#include <string>
#include <string_view>

namespace lathe {

/// `text` as the content of an HTML or SVG element, or of an attribute in double quotes: always valid UTF-8, without
/// anything that could be read as markup; control characters other than tabs and line ends are shown as their pictures.
std::string html_text(std::string_view text);

}  // namespace lathe
