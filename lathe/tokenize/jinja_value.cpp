#include "lathe/tokenize/jinja_value.h"

#include "lathe/tokenize/jinja_run.h"

namespace lathe::jinja {

const Value* Dict::find(const Value& key) const {
  if (key.text()) return find(key.text()->text.bytes());
  for (const auto& [name, value] : items) {
    bool equal = name.is_number() && key.is_number() ? name.number() == key.number() : name.same(key);
    if (equal) return &value;
  }
  return nullptr;
}

const Value* Dict::find(std::string_view key) const {
  for (const auto& [name, value] : items)
    if (name.text() && name.text()->text.bytes() == key) return &value;
  return nullptr;
}

std::optional<Value> Object::attribute(const std::string&, Run&) const { return std::nullopt; }
Value Object::call(const Arguments&, Run& run) { run.fail("a '", type(), "' cannot be called"); }

bool Value::is(ListForm form) const { return list() && list()->form == form; }

std::optional<int64_t> Value::integer() const {
  if (auto flag = std::get_if<bool>(&data_)) return int64_t(*flag);
  if (auto whole = std::get_if<int64_t>(&data_)) return *whole;
  return std::nullopt;
}

double Value::number() const {
  if (auto floating = std::get_if<double>(&data_)) return *floating;
  return double(integer().value_or(0));
}

bool Value::truthy() const {
  if (is_none() || undefined()) return false;
  if (is_number()) return number() != 0;
  if (text()) return !text()->text.empty();
  if (list()) return list()->form == List::Form::generator || !list()->items.empty();
  if (dict()) return !dict()->items.empty();
  return true;
}

std::string Value::type() const {
  constexpr const char* kForms[] = {"list", "tuple", "range", "dict view", "generator"};
  if (is_none()) return "NoneType";
  if (is_bool()) return "bool";
  if (is_float()) return "float";
  if (text()) return text()->markup ? "Markup" : "str";
  if (list()) return kForms[size_t(list()->form)];
  if (dict()) return "dict";
  if (undefined()) return "Undefined";
  return object() ? object()->type() : "int";
}

}  // namespace lathe::jinja
