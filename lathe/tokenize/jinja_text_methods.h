#pragma once

#include "lathe/tokenize/jinja_methods.h"

namespace lathe::jinja {

/// A method of str; null where Python has none. Throws Error for one that we do not have.
Method text_method(const std::string& name, Run& run);

}  // namespace lathe::jinja
