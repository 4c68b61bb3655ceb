#pragma once

#include "lathe/tokenize/jinja_run.h"

namespace lathe::jinja {

/// a `op` b for + - * / // % **. Throws Error where Python raises one, and for integers beyond 64 bits.
Value arithmetic(const std::string& op, const Value& a, const Value& b, Run& run);
Value negated(const Value& a, Run& run);

bool equal(const Value& a, const Value& b, Run& run);
/// a < b. Throws Error for what has no order.
bool less(const Value& a, const Value& b, Run& run);
/// item in container
bool contains(const Value& container, const Value& item, Run& run);
/// a `op` b for == != < <= > >= in, not in.
bool compare(const std::string& op, const Value& a, const Value& b, Run& run);

/// What `for` would give of `value`: items, characters, keys. Throws Error for what cannot be iterated.
std::vector<Value> iterated(const Value& value, Run& run);
/// len(value). Throws Error where there is none.
int64_t length(const Value& value, Run& run);

/// value.name and value[key] as Jinja finds them; undefined where there is nothing.
Value attribute_of(const Value& value, const std::string& name, Run& run);
Value item_of(const Value& value, const Value& key, Run& run);
Value slice_of(const Value& value, const Value& start, const Value& stop, const Value& step, Run& run);
Value call(const Value& function, const Arguments& arguments, Run& run);

/// A filter or test by its name. Throws Error for one that Jinja or we do not have.
Value apply_filter(const std::string& name, const Value& value, const Arguments& arguments, Run& run);
bool apply_test(const std::string& name, const Value& value, const Arguments& arguments, Run& run);
bool has_filter(const std::string& name);
bool has_test(const std::string& name);

}  // namespace lathe::jinja
