#pragma once

#include <map>

#include "lathe/tokenize/jinja_call.h"

namespace lathe::jinja {

using Filter = Value (*)(const Value& value, const Arguments& arguments, Run& run);
using Filters = std::map<std::string, Filter, std::less<>>;

/// Those that change text, and those of lists.
const Filters& text_filters();
const Filters& list_filters();

}  // namespace lathe::jinja
