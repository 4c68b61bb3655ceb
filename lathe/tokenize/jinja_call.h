#pragma once

#include <initializer_list>

#include "lathe/tokenize/jinja_run.h"

namespace lathe::jinja {

/// The arguments of one call by the places of a function's parameters. Both must outlive it.
class Bound {
 public:
  /// Throws Error for an argument too many, an unknown name, and one that is given twice. `function` begins messages.
  Bound(std::string function, const Arguments& arguments, std::initializer_list<const char*> parameters, Run& run);

  bool has(size_t parameter) const { return values_[parameter].has_value(); }
  /// Throws Error where it is missing, or of another type.
  Value value(size_t parameter) const;
  const MarkedText& text(size_t parameter) const;
  int64_t integer(size_t parameter) const;
  Value value(size_t parameter, Value fallback) const { return has(parameter) ? value(parameter) : fallback; }
  int64_t integer(size_t parameter, int64_t fallback) const { return has(parameter) ? integer(parameter) : fallback; }
  bool flag(size_t parameter, bool fallback) const { return has(parameter) ? value(parameter).truthy() : fallback; }

 private:
  std::string function_;
  std::vector<const char*> names_;
  std::vector<std::optional<Value>> values_;
  Run& run_;
};

}  // namespace lathe::jinja
