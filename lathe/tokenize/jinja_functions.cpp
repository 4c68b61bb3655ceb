#include "lathe/tokenize/jinja_functions.h"

#include <algorithm>

#include "lathe/tokenize/jinja_call.h"
#include "lathe/tokenize/jinja_operators.h"
#include "lathe/tokenize/jinja_print.h"

namespace lathe::jinja {
namespace {

struct Function : Object {
  using Body = Value (*)(const Arguments& arguments, Run& run);
  explicit Function(Body what) : body(what) {}
  std::string type() const override { return "function"; }
  bool callable() const override { return true; }
  Value call(const Arguments& arguments, Run& run) override { return body(arguments, run); }
  Body body;
};

Value range(const Arguments& arguments, Run& run) {
  constexpr int64_t kMost = 100'000;  // as Jinja's sandbox
  Bound bound("range", arguments, {"start", "stop", "step"}, run);
  int64_t start = bound.has(1) ? bound.integer(0) : 0, stop = bound.integer(bound.has(1)), step = bound.integer(2, 1);
  if (step == 0) run.fail("range: the step is 0");
  std::vector<Value> numbers;
  for (int64_t i = start; step > 0 ? i < stop : i > stop;) {
    numbers.push_back(i);
    if (int64_t(numbers.size()) > kMost) run.fail("range: more than ", kMost, " numbers");
    if (__builtin_add_overflow(i, step, &i)) break;
  }
  return run.list(std::move(numbers), List::Form::range);
}

/// The items that dict() and namespace() are called with: a dict or pairs, then names.
std::vector<std::pair<Value, Value>> items_of(const char* name, const Arguments& arguments, Run& run) {
  if (arguments.positional.size() > 1) run.fail(name, " takes one dict and names, not several");
  std::vector<std::pair<Value, Value>> items;
  auto add = [&](Value key, Value value) {
    auto same = std::find_if(items.begin(), items.end(), [&](const auto& item) { return equal(item.first, key, run); });
    if (same == items.end())
      items.emplace_back(key, value);
    else
      same->second = value;
  };
  for (const Value& given : arguments.positional) {
    if (given.undefined()) run.fail(given.undefined()->why);
    if (given.dict()) {
      items = given.dict()->items;
      continue;
    }
    for (const Value& pair : iterated(given, run)) {
      std::vector<Value> both = iterated(pair, run);
      if (both.size() != 2) run.fail(name, ": pairs have two values, here are ", both.size());
      add(both[0], both[1]);
    }
  }
  for (const auto& [key, value] : arguments.named) add(run.plain(key), value);
  return items;
}

Value make_dict(const Arguments& arguments, Run& run) { return run.dict(items_of("dict", arguments, run)); }

Value make_namespace(const Arguments& arguments, Run& run) {
  Namespace* space = run.keep<Namespace>();
  for (const auto& [key, value] : items_of("namespace", arguments, run)) {
    if (!key.text()) run.fail("namespace: names are texts, here is a ", key.type());
    space->set(key.text()->text.bytes(), value, run);
  }
  return space;
}

/// joiner(", "): nothing when called first, then the text.
struct Joiner : Object {
  explicit Joiner(Value text) : between(text) {}
  std::string type() const override { return "joiner"; }
  bool callable() const override { return true; }
  Value call(const Arguments&, Run& run) override { return std::exchange(used, true) ? between : run.plain(""); }
  Value between;
  bool used = false;
};

Value make_joiner(const Arguments& arguments, Run& run) {
  return run.keep<Joiner>(Bound("joiner", arguments, {"sep"}, run).value(0, run.plain(", ")));
}

/// cycler(a, b): its items in turns.
struct Cycler : Object {
  explicit Cycler(std::vector<Value> all) : items(std::move(all)) {}
  std::string type() const override { return "cycler"; }
  std::optional<Value> attribute(const std::string& name, Run& run) const override;
  std::vector<Value> items;
  mutable size_t at = 0;
};

struct CyclerMethod : Object {
  CyclerMethod(const Cycler& of, bool is_next) : cycler(of), next(is_next) {}
  std::string type() const override { return "method"; }
  bool callable() const override { return true; }
  Value call(const Arguments&, Run&) override {
    Value value = next ? cycler.items[cycler.at] : Value();
    cycler.at = next ? (cycler.at + 1) % cycler.items.size() : 0;
    return value;
  }
  const Cycler& cycler;
  bool next;
};

std::optional<Value> Cycler::attribute(const std::string& name, Run& run) const {
  if (name == "current") return items[at];
  if (name == "next" || name == "reset") return run.keep<CyclerMethod>(*this, name == "next");
  return std::nullopt;
}

Value make_cycler(const Arguments& arguments, Run& run) {
  if (arguments.positional.empty()) run.fail("cycler: no items to cycle through");
  return run.keep<Cycler>(arguments.positional);
}

Value raise_exception(const Arguments& arguments, Run& run) {
  run.fail(printed(Bound("raise_exception", arguments, {"message"}, run).value(0), run).bytes());
}

/// The time by one conversion of strftime.
std::string time_text(const std::tm& time, const std::string& conversion, Run& run) {
  constexpr std::string_view kKnown = "aAbBcdDeFHIjklmMpPrRsSTuUVwWxXyYzZ%GgChnt";
  if (kKnown.find(conversion.back()) == std::string_view::npos || conversion.size() > 3)
    run.fail("strftime_now: '", conversion, "' is not supported");
  char out[128];
  return std::string(out, std::strftime(out, sizeof out, conversion.c_str(), &time));
}

Value strftime_now(const Arguments& arguments, Run& run) {
  const std::string format = Bound("strftime_now", arguments, {"format"}, run).text(0).bytes();
  std::tm time{};
  std::time_t now = run.now();
  localtime_r(&now, &time);
  std::string out;
  for (size_t i = 0; i < format.size(); ++i) {
    run.work();
    if (format[i] != '%' || i + 1 == format.size()) {
      out += format[i];
      continue;
    }
    bool flag = format[i + 1] == '-' && i + 2 < format.size();
    if (format.substr(i, 2) == "%f")
      out += "000000";  // the clock here has whole seconds
    else
      out += time_text(time, format.substr(i, 2 + flag), run);
    i += 1 + flag;
  }
  return run.plain(std::move(out));
}

Value lipsum(const Arguments&, Run& run) { run.fail("lipsum() is not supported"); }

}  // namespace

std::optional<Value> Namespace::attribute(const std::string& name, Run&) const {
  for (const auto& [known, value] : values_)
    if (known == name) return value;
  return std::nullopt;
}

void Namespace::set(const std::string& name, Value value, Run& run) {
  if (name.starts_with("_")) run.fail("a namespace may not hold '", name, "': names with _ in front are refused");
  for (auto& [known, old] : values_)
    if (known == name) {
      old = value;
      return;
    }
  run.charge(int64_t(name.size() + sizeof(values_[0])));
  values_.emplace_back(name, value);
}

void set_functions(Scope& scope, Run& run) {
  constexpr std::pair<const char*, Function::Body> kFunctions[] = {{"range", range},
                                                                   {"dict", make_dict},
                                                                   {"namespace", make_namespace},
                                                                   {"joiner", make_joiner},
                                                                   {"lipsum", lipsum},
                                                                   {"cycler", make_cycler},
                                                                   {"raise_exception", raise_exception},
                                                                   {"strftime_now", strftime_now}};
  for (const auto& [name, body] : kFunctions) scope.set(name, run.keep<Function>(body));
}

}  // namespace lathe::jinja
