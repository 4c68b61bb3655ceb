#pragma once

#include <string>
#include <string_view>

#include "lathe/tokenize/jinja_syntax.h"

namespace lathe::jinja {

/// The tree of a template. Throws Error naming `name`, the line, and the construct that is wrong or not supported.
Tree parse(std::string_view source, const std::string& name);

}  // namespace lathe::jinja
