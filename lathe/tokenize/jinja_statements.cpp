#include "lathe/tokenize/jinja_statements.h"

#include "lathe/tokenize/jinja_functions.h"
#include "lathe/tokenize/jinja_loop.h"
#include "lathe/tokenize/jinja_macro.h"
#include "lathe/tokenize/jinja_operators.h"
#include "lathe/tokenize/jinja_print.h"

namespace lathe::jinja {

Flow Statement::run(Scope& scope, Run& run) const {
  Run::Nested nested(run);
  run.line = line_;
  run.work();
  return execute(scope, run);
}

Flow run_all(const Body& body, Scope& scope, Run& run) {
  for (const Statement* statement : body)
    if (Flow flow = statement->run(scope, run); flow != Flow::on) return flow;
  return Flow::on;
}

void Target::assign(Value value, Scope& scope, Run& run) const {
  if (!attribute.empty()) {
    const Value* of = scope.find(name);
    auto* space = dynamic_cast<Namespace*>(of ? of->object() : nullptr);
    if (!space) run.fail("'", name, ".", attribute, "' is set, but '", name, "' is no namespace()");
    return space->set(attribute, value, run);
  }
  if (parts.empty()) return scope.set(name, value);
  std::vector<Value> values = iterated(value, run);
  if (values.size() != parts.size()) run.fail(parts.size(), " names are set, but there are ", values.size(), " values");
  for (size_t i = 0; i < parts.size(); ++i) parts[i].assign(values[i], scope, run);
}

Flow Data::execute(Scope&, Run& run) const {
  run.write(text_);
  return Flow::on;
}

Flow Print::execute(Scope& scope, Run& run) const {
  Value value = value_->value(scope, run);
  if (value.text())
    run.write(value.text()->text);
  else
    run.write(printed(value, run));
  return Flow::on;
}

Flow If::execute(Scope& scope, Run& run) const {
  for (const auto& [test, body] : branches_)
    if (test->value(scope, run).truthy()) return run_all(body, scope, run);
  return run_all(otherwise_, scope, run);
}

Flow For::execute(Scope& scope, Run& run) const {
  run_over(iterated(parts_.items->value(scope, run), run), scope, 1, run);
  return Flow::on;
}

std::vector<Value> For::selected(std::vector<Value> items, const Scope& around, Run& run) const {
  if (!parts_.test) return items;
  std::vector<Value> kept;
  for (const Value& item : items) {
    Scope* scope = run.keep<Scope>(&around);
    parts_.target.assign(item, *scope, run);
    if (parts_.test->value(*scope, run).truthy()) kept.push_back(item);
  }
  return kept;
}

void For::run_over(std::vector<Value> items, const Scope& around, int depth, Run& run) const {
  Loop* loop =
      run.keep<Loop>(selected(std::move(items), around, run), depth, parts_.recursive ? this : nullptr, around);
  for (; loop->more(); loop->advance()) {
    run.work();
    Scope* scope = run.keep<Scope>(&around);
    scope->set("loop", loop);
    parts_.target.assign(loop->current(), *scope, run);
    if (run_all(parts_.body, *scope, run) == Flow::leave) return;
  }
  if (!loop->empty()) return;
  Scope* scope = run.keep<Scope>(&around);
  run_all(parts_.otherwise, *scope, run);
}

Flow Set::execute(Scope& scope, Run& run) const {
  target_.assign(value_->value(scope, run), scope, run);
  return Flow::on;
}

Flow Captured::execute(Scope& scope, Run& run) const {
  MarkedText written;
  {
    Run::Capture capture(run);
    if (Flow flow = run_all(body_, *run.keep<Scope>(&scope), run); flow != Flow::on)
      run.fail("break and continue inside {% set %} and {% filter %} are not supported");
    written = std::move(capture.text);
  }
  Value value = run.text(std::move(written));
  for (const Filtered* filter : filters_) value = filter->filter(value, scope, run);
  if (target_)
    target_->assign(value, scope, run);
  else
    run.write(printed(value, run));
  return Flow::on;
}

Flow DefineMacro::execute(Scope& scope, Run& run) const {
  scope.set(parts_.name, run.keep<Macro>(parts_, scope));
  return Flow::on;
}

Flow CallBlock::execute(Scope& scope, Run& run) const {
  Value value = call_->call_with("caller", run.keep<Macro>(caller_, scope), scope, run);
  run.write(printed(value, run));
  return Flow::on;
}

Flow With::execute(Scope& scope, Run& run) const {
  Scope* inner = run.keep<Scope>(&scope);
  for (const auto& [target, value] : names_) target.assign(value->value(scope, run), *inner, run);
  return run_all(body_, *inner, run);
}

}  // namespace lathe::jinja
