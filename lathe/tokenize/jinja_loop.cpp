#include "lathe/tokenize/jinja_loop.h"

#include "lathe/tokenize/jinja_call.h"
#include "lathe/tokenize/jinja_operators.h"
#include "lathe/tokenize/jinja_statements.h"

namespace lathe::jinja {

/// loop.cycle(a, b), loop.changed(a)
struct LoopMethod : Object {
  LoopMethod(const Loop& of, bool is_cycle) : loop(of), cycle(is_cycle) {}
  std::string type() const override { return "method"; }
  bool callable() const override { return true; }
  Value call(const Arguments& arguments, Run& run) override {
    if (cycle && arguments.positional.empty()) run.fail("loop.cycle: no items to cycle through");
    if (cycle) return arguments.positional[loop.index_ % arguments.positional.size()];
    Value now = run.list(arguments.positional, List::Form::tuple);
    bool changed = !loop.seen_ || !equal(*loop.seen_, now, run);
    loop.seen_ = now;
    return changed;
  }
  const Loop& loop;
  bool cycle;
};

std::optional<Value> Loop::attribute(const std::string& name, Run& run) const {
  auto index = int64_t(index_), count = int64_t(items_.size());
  if (name == "index") return index + 1;
  if (name == "index0") return index;
  if (name == "revindex") return count - index;
  if (name == "revindex0") return count - index - 1;
  if (name == "length") return count;
  if (name == "first") return index == 0;
  if (name == "last") return index + 1 == count;
  if (name == "depth") return int64_t(depth_);
  if (name == "depth0") return int64_t(depth_ - 1);
  if (name == "previtem") return index > 0 ? items_[size_t(index - 1)] : run.undefined("there is no previous item");
  if (name == "nextitem") return index + 1 < count ? items_[size_t(index + 1)] : run.undefined("there is no next item");
  if (name == "cycle" || name == "changed") return run.keep<LoopMethod>(*this, name == "cycle");
  return std::nullopt;
}

Value Loop::call(const Arguments& arguments, Run& run) {
  if (!recursive_) run.fail("loop() needs a for statement that says recursive");
  Value items = Bound("loop", arguments, {"iterable"}, run).value(0);
  Run::Capture capture(run);
  recursive_->run_over(iterated(items, run), around_, depth_ + 1, run);
  return run.text(std::move(capture.text));
}

}  // namespace lathe::jinja
