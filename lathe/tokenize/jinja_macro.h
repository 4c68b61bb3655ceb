#pragma once

#include "lathe/tokenize/jinja_statements.h"

namespace lathe::jinja {

/// A macro, which sees the names around its definition.
class Macro : public Object {
 public:
  Macro(const MacroParts& parts, const Scope& around) : parts_(parts), around_(around) {}
  std::string type() const override { return "macro"; }
  std::optional<Value> attribute(const std::string& name, Run& run) const override;
  bool callable() const override { return true; }
  Value call(const Arguments& arguments, Run& run) override;

 private:
  void bind(const Arguments& arguments, Scope& scope, Run& run) const;
  const MacroParts& parts_;
  const Scope& around_;
};

}  // namespace lathe::jinja
