#pragma once

#include "lathe/tokenize/jinja_run.h"

namespace lathe::jinja {

/// namespace(): the one value whose attributes a template may set.
class Namespace : public Object {
 public:
  std::string type() const override { return "namespace"; }
  std::optional<Value> attribute(const std::string& name, Run& run) const override;
  /// Throws Error for names that begin with an underscore.
  void set(const std::string& name, Value value, Run& run);

 private:
  std::vector<std::pair<std::string, Value>> values_;
};

/// Sets what every template can call: range, dict, namespace, joiner, cycler, raise_exception, strftime_now.
void set_functions(Scope& scope, Run& run);

}  // namespace lathe::jinja
