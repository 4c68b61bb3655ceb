#include "lathe/tokenize/jinja_operators.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "lathe/tokenize/jinja_characters.h"
#include "lathe/tokenize/jinja_print.h"

namespace lathe::jinja {
namespace {

[[noreturn]] void overflow(const std::string& op, Run& run) {
  run.fail(op, ": the result has more than 64 bits, which is not supported");
}

[[noreturn]] void mismatch(const std::string& op, const Value& a, const Value& b, Run& run) {
  for (const Value& value : {a, b})
    if (value.undefined()) run.fail(value.undefined()->why);
  run.fail("'", a.type(), "' ", op, " '", b.type(), "' is not possible");
}

Value power(int64_t base, int64_t exponent, Run& run) {
  if (exponent < 0) {
    if (base == 0) run.fail("0 to a negative power");
    return std::pow(double(base), double(exponent));
  }
  if (base == 0 || base == 1) return exponent == 0 ? int64_t{1} : base;
  if (base == -1) return int64_t(exponent % 2 ? -1 : 1);
  int64_t result = 1;
  for (int64_t i = 0; i < exponent; ++i)
    if (__builtin_mul_overflow(result, base, &result)) overflow("**", run);
  return result;
}

Value integers(const std::string& op, int64_t a, int64_t b, Run& run) {
  int64_t result = 0;
  if (op == "**") return power(a, b, run);
  if (op == "+" || op == "-" || op == "*") {
    bool over = op == "+"   ? __builtin_add_overflow(a, b, &result)
                : op == "-" ? __builtin_sub_overflow(a, b, &result)
                            : __builtin_mul_overflow(a, b, &result);
    if (over) overflow(op, run);
    return result;
  }
  if (b == 0) run.fail(op, ": division by zero");
  if (op == "/") return double(a) / double(b);
  if (b == -1) {
    if (op == "%") return int64_t{0};
    if (a == INT64_MIN) overflow(op, run);
    return -a;
  }
  int64_t quotient = a / b - (a % b != 0 && (a < 0) != (b < 0));
  return op == "//" ? quotient : a - quotient * b;
}

Value floats(const std::string& op, double a, double b, Run& run) {
  if (op == "+") return a + b;
  if (op == "-") return a - b;
  if (op == "*") return a * b;
  if (op == "**") {
    if (a == 0 && b < 0) run.fail("0 to a negative power");
    double result = std::pow(a, b);
    if (std::isnan(result) && !std::isnan(a) && !std::isnan(b)) run.fail("** with a complex result is not supported");
    if (std::isinf(result) && !std::isinf(a) && !std::isinf(b)) run.fail("**: the result is too large");
    return result;
  }
  if (b == 0) run.fail(op, ": division by zero");
  if (op == "/") return a / b;
  double rest = std::fmod(a, b);
  if (rest != 0 && (rest < 0) != (b < 0)) rest += b;
  if (op == "%") return rest == 0 ? std::copysign(0.0, b) : rest;
  double quotient = (a - rest) / b;
  return quotient == 0 ? std::copysign(0.0, a / b) : std::round(quotient);
}

Value added(const Text& a, const Text& b, Run& run) {
  bool markup = a.markup || b.markup;
  run.charge(int64_t(a.text.size()));
  MarkedText sum = markup && !a.markup ? html_escaped(a.text, run) : a.text;
  sum.append(markup && !b.markup ? html_escaped(b.text, run) : b.text);
  return run.text(std::move(sum), markup);
}

Value added(const List& a, const List& b, Run& run) {
  run.charge(int64_t((a.items.size() + b.items.size()) * sizeof(Value)));
  std::vector<Value> items = a.items;
  items.insert(items.end(), b.items.begin(), b.items.end());
  return run.list(std::move(items), a.form);
}

Value repeated(const Value& value, int64_t times, Run& run) {
  times = std::max<int64_t>(times, 0);
  int64_t size =
      value.text() ? int64_t(value.text()->text.size()) : int64_t(value.list()->items.size() * sizeof(Value));
  int64_t bytes = 0;
  if (__builtin_mul_overflow(size, times, &bytes)) bytes = INT64_MAX;
  run.charge(bytes);
  if (size == 0) return value;
  if (value.text()) {
    MarkedText all;
    for (int64_t i = 0; i < times; ++i) all.append(value.text()->text);
    return run.text(std::move(all), value.text()->markup);
  }
  std::vector<Value> items;
  for (int64_t i = 0; i < times; ++i) items.insert(items.end(), value.list()->items.begin(), value.list()->items.end());
  return run.list(std::move(items), value.list()->form);
}

bool is_sequence(const Value& value) {
  return value.text() || value.is(List::Form::list) || value.is(List::Form::tuple);
}

bool equal_lists(const List& a, const List& b, Run& run) {
  if (a.form != b.form || a.items.size() != b.items.size()) return false;
  for (size_t i = 0; i < a.items.size(); ++i)
    if (!equal(a.items[i], b.items[i], run)) return false;
  return true;
}

bool equal_dicts(const Dict& a, const Dict& b, Run& run) {
  if (a.items.size() != b.items.size()) return false;
  for (const auto& [key, value] : a.items) {
    run.work(int64_t(b.items.size()));
    const Value* other = b.find(key);
    if (!other || !equal(value, *other, run)) return false;
  }
  return true;
}

}  // namespace

Value arithmetic(const std::string& op, const Value& a, const Value& b, Run& run) {
  if (a.is_number() && b.is_number()) {
    if (a.is_float() || b.is_float()) return floats(op, a.number(), b.number(), run);
    return integers(op, *a.integer(), *b.integer(), run);
  }
  if (op == "+" && a.text() && b.text()) return added(*a.text(), *b.text(), run);
  bool lists = op == "+" && is_sequence(a) && is_sequence(b) && a.list() && b.list();
  if (lists && a.list()->form == b.list()->form) return added(*a.list(), *b.list(), run);
  if (op == "*" && is_sequence(a) && b.integer()) return repeated(a, *b.integer(), run);
  if (op == "*" && is_sequence(b) && a.integer()) return repeated(b, *a.integer(), run);
  if (op == "%" && a.text()) run.fail("formatting text with % is not supported; put it together with ~");
  mismatch(op, a, b, run);
}

Value negated(const Value& a, Run& run) {
  if (a.is_float()) return -a.number();
  return arithmetic("-", int64_t{0}, a, run);
}

bool equal(const Value& a, const Value& b, Run& run) {
  Run::Nested nested(run);
  run.work();
  if (a.is_number() && b.is_number()) {
    if (a.is_float() || b.is_float()) return a.number() == b.number();
    return *a.integer() == *b.integer();
  }
  if (a.undefined() && b.undefined()) return true;
  if (a.text() && b.text()) {
    run.work_on(std::min(a.text()->text.size(), b.text()->text.size()));
    return a.text()->text.bytes() == b.text()->text.bytes();
  }
  if (a.same(b)) return true;
  if (a.list() && b.list()) return equal_lists(*a.list(), *b.list(), run);
  if (a.dict() && b.dict()) return equal_dicts(*a.dict(), *b.dict(), run);
  return false;
}

bool less(const Value& a, const Value& b, Run& run) {
  Run::Nested nested(run);
  run.work();
  if (a.is_number() && b.is_number()) {
    if (a.is_float() || b.is_float()) return a.number() < b.number();
    return *a.integer() < *b.integer();
  }
  if (a.text() && b.text()) {
    run.work_on(std::min(a.text()->text.size(), b.text()->text.size()));
    return a.text()->text.bytes() < b.text()->text.bytes();  // UTF-8 keeps the order of characters
  }
  if (!a.list() || !b.list() || !is_sequence(a) || a.list()->form != b.list()->form) mismatch("<", a, b, run);
  const std::vector<Value>&x = a.list()->items, &y = b.list()->items;
  for (size_t i = 0; i < std::min(x.size(), y.size()); ++i)
    if (!equal(x[i], y[i], run)) return less(x[i], y[i], run);
  return x.size() < y.size();
}

bool contains(const Value& container, const Value& item, Run& run) {
  if (container.undefined()) return false;
  if (container.text()) {
    if (item.undefined()) run.fail(item.undefined()->why);
    if (!item.text()) run.fail("'in' a text looks for text, not for a ", item.type());
    const std::string &hay = container.text()->text.bytes(), &needle = item.text()->text.bytes();
    run.work_on(hay.size());
    return memmem(hay.data(), hay.size(), needle.data(), needle.size()) != nullptr;
  }
  if (container.dict()) {
    run.work(int64_t(container.dict()->items.size()));
    return container.dict()->find(item) != nullptr;
  }
  if (!container.list()) run.fail("'in' cannot look into a ", container.type());
  std::vector<Value> items = iterated(container, run);
  return std::any_of(items.begin(), items.end(), [&](const Value& each) { return equal(each, item, run); });
}

bool compare(const std::string& op, const Value& a, const Value& b, Run& run) {
  if (op == "==") return equal(a, b, run);
  if (op == "!=") return !equal(a, b, run);
  if (op == "in") return contains(b, a, run);
  if (op == "not in") return !contains(b, a, run);
  if (op == "<") return less(a, b, run);
  if (op == ">") return less(b, a, run);
  bool nan = (a.is_float() && std::isnan(a.number())) || (b.is_float() && std::isnan(b.number()));
  return op == "<=" ? !less(b, a, run) && !nan : !less(a, b, run) && !nan;
}

std::vector<Value> iterated(const Value& value, Run& run) {
  std::vector<Value> items;
  if (value.undefined()) return items;
  if (const List* list = value.list()) {
    run.charge(int64_t(list->items.size() * sizeof(Value)));
    items.assign(list->items.begin() + std::ptrdiff_t(list->taken), list->items.end());
    if (list->form == List::Form::generator) list->taken = list->items.size();
  } else if (value.dict()) {
    run.charge(int64_t(value.dict()->items.size() * sizeof(Value)));
    for (const auto& [key, content] : value.dict()->items) items.push_back(key);
  } else if (const Text* text = value.text()) {
    const std::string& bytes = text->text.bytes();
    for (size_t at = 0; at < bytes.size();) {
      size_t end = at + character_bytes(bytes, at);
      items.push_back(run.text(text->text.part(at, end)));
      at = end;
    }
  } else {
    run.fail("a ", value.type(), " cannot be iterated");
  }
  return items;
}

int64_t length(const Value& value, Run& run) {
  if (value.undefined()) return 0;
  if (value.dict()) return int64_t(value.dict()->items.size());
  if (value.list() && !value.is(List::Form::generator)) return int64_t(value.list()->items.size());
  if (!value.text()) run.fail("a ", value.type(), " has no length", value.list() ? "; put |list before it" : "");
  run.work_on(value.text()->text.size());
  return character_count(value.text()->text.bytes());
}

}  // namespace lathe::jinja
