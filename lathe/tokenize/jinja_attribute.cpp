#include <algorithm>

#include "lathe/tokenize/jinja_characters.h"
#include "lathe/tokenize/jinja_methods.h"
#include "lathe/tokenize/jinja_operators.h"

namespace lathe::jinja {
namespace {

/// A method with the value it belongs to.
struct BoundMethod : Object {
  BoundMethod(Value of, Method what) : self(of), method(what) {}
  std::string type() const override { return "method"; }
  bool callable() const override { return true; }
  Value call(const Arguments& arguments, Run& run) override { return method(self, arguments, run); }
  Value self;
  Method method;
};

std::optional<Value> python_attribute(const Value& value, const std::string& name, Run& run) {
  if (value.undefined()) run.fail(value.undefined()->why);
  if (name.starts_with("_")) return run.undefined("a template may not use the attribute '" + name + "'");
  if (value.object()) return value.object()->attribute(name, run);
  Method method = method_of(value, name, run);
  if (!method) return std::nullopt;
  return run.keep<BoundMethod>(value, method);
}

Value nothing(const Value& value, const Value& key, Run& run) {
  std::string shown = key.text() ? key.text()->text.bytes() : key.integer() ? std::to_string(*key.integer()) : "?";
  if (shown.size() > 80) shown = shown.substr(0, character_offset(shown, 80)) + "...";
  return run.undefined("'" + value.type() + " object' has no attribute '" + shown + "'");
}

/// value[key] as Python has it.
std::optional<Value> python_item(const Value& value, const Value& key, Run& run) {
  if (const Dict* dict = value.dict()) {
    run.work(int64_t(dict->items.size() / 8));
    const Value* found = dict->find(key);
    return found ? std::optional(*found) : std::nullopt;
  }
  bool indexed = value.text() || (value.list() && (value.list()->form <= List::Form::range));
  if (!indexed || !key.integer()) return std::nullopt;
  int64_t size = length(value, run), index = *key.integer();
  if (index < 0) index += size;
  if (index < 0 || index >= size) return std::nullopt;
  if (value.list()) return value.list()->items[size_t(index)];
  const MarkedText& text = value.text()->text;
  size_t at = character_offset(text.bytes(), index);
  return run.text(text.part(at, at + character_bytes(text.bytes(), at)));
}

/// The indices that a slice takes: `count` of them, from `start` on by `step`.
struct Indices {
  int64_t start, step, count;
};

Indices indices_of(int64_t size, const Value& start, const Value& stop, const Value& step, Run& run) {
  auto number = [&](const Value& value, int64_t fallback) {
    if (value.undefined()) run.fail(value.undefined()->why);
    if (!value.is_none() && !value.integer())
      run.fail("the borders of a slice must be whole numbers, not ", value.type());
    return value.is_none() ? fallback : *value.integer();
  };
  int64_t by = std::max(number(step, 1), -INT64_MAX);
  if (by == 0) run.fail("the step of a slice is 0");
  int64_t low = by > 0 ? 0 : -1, high = by > 0 ? size : size - 1;
  auto border = [&](const Value& value, int64_t fallback) {
    int64_t at = number(value, fallback);
    if (!value.is_none() && at < 0) at += size;
    return std::clamp(at, low, high);
  };
  int64_t from = border(start, by > 0 ? 0 : size - 1), to = border(stop, by > 0 ? size : -1);
  int64_t span = by > 0 ? to - from : from - to;
  return {from, by, span > 0 ? 1 + (span - 1) / std::abs(by) : 0};
}

Value text_slice(const Text& text, const Indices& at, Run& run) {
  const std::string& bytes = text.text.bytes();
  if (at.step == 1) {
    size_t begin = character_offset(bytes, at.start), end = character_offset(bytes, at.start + at.count);
    return run.text(text.text.part(begin, end), text.markup);
  }
  std::vector<size_t> starts;
  run.charge(int64_t(bytes.size() * sizeof(size_t)));
  for (size_t i = 0; i < bytes.size(); i += character_bytes(bytes, i)) starts.push_back(i);
  starts.push_back(bytes.size());
  MarkedText out;
  for (int64_t k = 0; k < at.count; ++k) {
    auto i = size_t(at.start + k * at.step);
    out.append_part(text.text, starts[i], starts[i + 1]);
  }
  return run.text(std::move(out), text.markup);
}

}  // namespace

Value attribute_of(const Value& value, const std::string& name, Run& run) {
  if (auto found = python_attribute(value, name, run)) return *found;
  Value key = run.plain(name);
  auto found = python_item(value, key, run);
  return found ? *found : nothing(value, key, run);
}

Value item_of(const Value& value, const Value& key, Run& run) {
  if (value.undefined()) run.fail(value.undefined()->why);
  if (auto found = python_item(value, key, run)) return *found;
  if (key.text())
    if (auto found = python_attribute(value, key.text()->text.bytes(), run)) return *found;
  return nothing(value, key, run);
}

Value slice_of(const Value& value, const Value& start, const Value& stop, const Value& step, Run& run) {
  if (value.undefined()) run.fail(value.undefined()->why);
  bool indexed = value.text() || (value.list() && value.list()->form <= List::Form::range);
  if (!indexed) run.fail("a ", value.type(), " cannot be sliced", value.list() ? "; put |list before it" : "");
  Indices at = indices_of(length(value, run), start, stop, step, run);
  if (value.text()) return text_slice(*value.text(), at, run);
  std::vector<Value> items;
  for (int64_t k = 0; k < at.count; ++k) items.push_back(value.list()->items[size_t(at.start + k * at.step)]);
  return run.list(std::move(items), value.list()->form);
}

Value call(const Value& function, const Arguments& arguments, Run& run) {
  if (function.undefined()) run.fail(function.undefined()->why);
  if (!function.object() || !function.object()->callable()) run.fail("a ", function.type(), " cannot be called");
  Run::Nested nested(run);
  return function.object()->call(arguments, run);
}

}  // namespace lathe::jinja
