#include "lathe/tokenize/jinja_expressions.h"

#include <algorithm>

#include "lathe/tokenize/jinja_operators.h"
#include "lathe/tokenize/jinja_print.h"

namespace lathe::jinja {
namespace {

Value value_or_none(const Expression* expression, Scope& scope, Run& run) {
  return expression ? expression->value(scope, run) : Value();
}

}  // namespace

Value Expression::value(Scope& scope, Run& run) const {
  Run::Nested nested(run);
  run.line = line_;
  run.work();
  Value value = evaluate(scope, run);
  run.line = line_;
  return value;
}

Arguments CallArguments::values(Scope& scope, Run& run) const {
  Arguments arguments;
  for (const Expression* expression : positional) arguments.positional.push_back(expression->value(scope, run));
  for (const auto& [name, expression] : named) arguments.named.emplace_back(name, expression->value(scope, run));
  if (more_positional)
    for (const Value& value : iterated(more_positional->value(scope, run), run)) arguments.positional.push_back(value);
  if (!more_named) return arguments;
  const Dict* dict = more_named->value(scope, run).dict();
  if (!dict) run.fail("behind ** stands no dict");
  for (const auto& [key, value] : dict->items) {
    if (!key.text()) run.fail("behind ** stands a dict with a key that is no string");
    arguments.named.emplace_back(key.text()->text.bytes(), value);
  }
  return arguments;
}

Value Name::evaluate(Scope& scope, Run& run) const {
  const Value* found = scope.find(name_);
  return found ? *found : run.undefined("'" + name_ + "' is undefined");
}

Value Sequence::evaluate(Scope& scope, Run& run) const {
  std::vector<Value> items;
  for (const Expression* item : items_) items.push_back(item->value(scope, run));
  return run.list(std::move(items), form_);
}

Value Mapping::evaluate(Scope& scope, Run& run) const {
  std::vector<std::pair<Value, Value>> items;
  for (const auto& [key, value] : items_) {
    Value name = key->value(scope, run);
    if (name.dict() || (name.list() && !name.is(List::Form::tuple))) run.fail("a ", name.type(), " cannot be a key");
    Value content = value->value(scope, run);
    auto same = std::find_if(items.begin(), items.end(), [&](const auto& old) { return equal(old.first, name, run); });
    if (same == items.end())
      items.emplace_back(name, content);
    else
      same->second = content;
  }
  return run.dict(std::move(items));
}

Value Unary::evaluate(Scope& scope, Run& run) const {
  Value value = operand_->value(scope, run);
  if (op_ == "not") return !value.truthy();
  if (op_ == "-") return negated(value, run);
  return arithmetic("+", int64_t{0}, value, run);
}

Value Binary::evaluate(Scope& scope, Run& run) const {
  Value left = left_->value(scope, run);
  if (op_ == "and") return left.truthy() ? right_->value(scope, run) : left;
  if (op_ == "or") return left.truthy() ? left : right_->value(scope, run);
  Value right = right_->value(scope, run);
  run.line = line();
  return arithmetic(op_, left, right, run);
}

Value Comparison::evaluate(Scope& scope, Run& run) const {
  Value left = first_->value(scope, run);
  for (const auto& [op, expression] : rest_) {
    Value right = expression->value(scope, run);
    run.line = line();
    if (!compare(op, left, right, run)) return false;
    left = right;
  }
  return true;
}

Value Concatenation::evaluate(Scope& scope, Run& run) const {
  MarkedText all;
  for (const Expression* part : parts_) append_printed(all, part->value(scope, run), run);
  return run.text(std::move(all));
}

Value Conditional::evaluate(Scope& scope, Run& run) const {
  if (test_->value(scope, run).truthy()) return yes_->value(scope, run);
  if (no_) return no_->value(scope, run);
  return run.undefined("the inline if-expression is false and has no else");
}

Value Attribute::evaluate(Scope& scope, Run& run) const {
  Value of = of_->value(scope, run);
  run.line = line();
  return attribute_of(of, name_, run);
}

Value Item::evaluate(Scope& scope, Run& run) const {
  Value of = of_->value(scope, run), key = key_->value(scope, run);
  run.line = line();
  return item_of(of, key, run);
}

Value Slice::evaluate(Scope& scope, Run& run) const {
  Value of = of_->value(scope, run);
  Value start = value_or_none(start_, scope, run), stop = value_or_none(stop_, scope, run);
  Value step = value_or_none(step_, scope, run);
  run.line = line();
  return slice_of(of, start, stop, step, run);
}

Value Call::evaluate(Scope& scope, Run& run) const { return call(arguments_.values(scope, run), scope, run); }

Value Call::call_with(const std::string& name, Value argument, Scope& scope, Run& run) const {
  Arguments arguments = arguments_.values(scope, run);
  arguments.named.emplace_back(name, argument);
  return call(std::move(arguments), scope, run);
}

Value Call::call(Arguments arguments, Scope& scope, Run& run) const {
  Value function = of_->value(scope, run);
  run.line = line();
  return jinja::call(function, arguments, run);
}

Value Filtered::evaluate(Scope& scope, Run& run) const { return filter(of_->value(scope, run), scope, run); }

Value Filtered::filter(Value value, Scope& scope, Run& run) const {
  Arguments arguments = arguments_.values(scope, run);
  run.line = line();
  return apply_filter(name_, value, arguments, run);
}

Value Tested::evaluate(Scope& scope, Run& run) const {
  Value value = of_->value(scope, run);
  Arguments arguments = arguments_.values(scope, run);
  run.line = line();
  return apply_test(name_, value, arguments, run);
}

}  // namespace lathe::jinja
