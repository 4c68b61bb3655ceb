#pragma once

#include "lathe/tokenize/jinja_call.h"

namespace lathe::jinja {

/// A method of text, a dict or a list: what stands behind the dot.
using Method = Value (*)(const Value& self, const Arguments& arguments, Run& run);

/// The method `name` of `value`; null where Python has none. Throws Error for one that we do not have, and for one that
/// would change the value, which a template may not.
Method method_of(const Value& value, const std::string& name, Run& run);

/// What str.split(), strip() and the like give; filters use them too.
MarkedText stripped(const MarkedText& text, const Value& characters, bool front, bool back, Run& run);
std::vector<Value> lines_of(const MarkedText& text, bool keep_ends, Run& run);
MarkedText replaced(const MarkedText& text, const MarkedText& from, const MarkedText& to, int64_t most, Run& run);
MarkedText in_upper_case(const MarkedText& text, Run& run);
MarkedText in_lower_case(const MarkedText& text, Run& run);
MarkedText capitalized(const MarkedText& text, Run& run);

}  // namespace lathe::jinja
