#include "lathe/tokenize/jinja_macro.h"

#include <algorithm>

namespace lathe::jinja {
namespace {

const Value* named(const Arguments& arguments, const std::string& name) {
  for (const auto& [known, value] : arguments.named)
    if (known == name) return &value;
  return nullptr;
}

}  // namespace

std::optional<Value> Macro::attribute(const std::string& name, Run& run) const {
  return name == "name" ? std::optional(run.plain(parts_.name)) : std::nullopt;
}

Value Macro::call(const Arguments& arguments, Run& run) {
  Scope* scope = run.keep<Scope>(&around_);
  bind(arguments, *scope, run);
  Run::Capture capture(run);
  run_all(parts_.body, *scope, run);
  return run.text(std::move(capture.text));
}

void Macro::bind(const Arguments& arguments, Scope& scope, Run& run) const {
  const auto& parameters = parts_.parameters;
  size_t given = arguments.positional.size();
  if (given > parameters.size() && !parts_.uses_more)
    run.fail("macro '", parts_.name, "' takes ", parameters.size(), " arguments, here are ", given);
  for (size_t i = 0; i < parameters.size(); ++i) {
    const auto& [name, fallback] = parameters[i];
    const Value* by_name = named(arguments, name);
    if (by_name && i < given) run.fail("macro '", parts_.name, "': '", name, "' is given twice");
    if (i < given || by_name)
      scope.set(name, by_name ? *by_name : arguments.positional[i]);
    else
      scope.set(name,
                fallback ? fallback->value(scope, run) : run.undefined("parameter '" + name + "' was not provided"));
  }
  std::vector<std::pair<Value, Value>> more;
  for (const auto& argument : arguments.named) {
    const std::string& name = argument.first;
    bool known = std::any_of(parameters.begin(), parameters.end(), [&](const auto& p) { return p.first == name; });
    if (known || (name == "caller" && parts_.uses_caller)) continue;
    if (!parts_.uses_more_named) run.fail("macro '", parts_.name, "' has no parameter '", name, "'");
    more.emplace_back(run.plain(name), argument.second);
  }
  if (parts_.uses_caller) {
    const Value* caller = named(arguments, "caller");
    scope.set("caller", caller ? *caller : run.undefined("No caller defined"));
  }
  if (parts_.uses_more) {
    size_t first = std::min(given, parameters.size());
    scope.set("varargs", run.list({arguments.positional.begin() + std::ptrdiff_t(first), arguments.positional.end()},
                                  List::Form::tuple));
  }
  if (parts_.uses_more_named) scope.set("kwargs", run.dict(std::move(more)));
}

}  // namespace lathe::jinja
