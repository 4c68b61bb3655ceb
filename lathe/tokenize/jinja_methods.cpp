#include "lathe/tokenize/jinja_methods.h"

#include <algorithm>

#include "lathe/tokenize/jinja_operators.h"
#include "lathe/tokenize/jinja_text_methods.h"

namespace lathe::jinja {
namespace {

Value get(const Value& self, const Arguments& arguments, Run& run) {
  Bound bound("get", arguments, {"key", "default"}, run);
  run.work(int64_t(self.dict()->items.size() / 8));
  const Value* found = self.dict()->find(bound.value(0));
  return found ? *found : bound.value(1, Value());
}

Value view(const Value& self, Run& run, Value (*pick)(const std::pair<Value, Value>&, Run&)) {
  std::vector<Value> all;
  for (const auto& item : self.dict()->items) all.push_back(pick(item, run));
  return run.list(std::move(all), List::Form::view);
}

Value keys(const Value& self, const Arguments& arguments, Run& run) {
  Bound bound("keys", arguments, {}, run);
  return view(self, run, [](const auto& item, Run&) { return item.first; });
}

Value values(const Value& self, const Arguments& arguments, Run& run) {
  Bound bound("values", arguments, {}, run);
  return view(self, run, [](const auto& item, Run&) { return item.second; });
}

Value items(const Value& self, const Arguments& arguments, Run& run) {
  Bound bound("items", arguments, {}, run);
  return view(self, run, [](const auto& item, Run& r) { return r.list({item.first, item.second}, List::Form::tuple); });
}

/// A copy is the same value: no template can change it.
Value copy(const Value& self, const Arguments& arguments, Run& run) {
  Bound bound("copy", arguments, {}, run);
  return self;
}

Value index(const Value& self, const Arguments& arguments, Run& run) {
  Bound bound("index", arguments, {"value"}, run);
  const std::vector<Value>& all = self.list()->items;
  for (size_t i = 0; i < all.size(); ++i)
    if (equal(all[i], bound.value(0), run)) return int64_t(i);
  run.fail("index: the value is not in the list");
}

Value count(const Value& self, const Arguments& arguments, Run& run) {
  Bound bound("count", arguments, {"value"}, run);
  const std::vector<Value>& all = self.list()->items;
  return int64_t(
      std::count_if(all.begin(), all.end(), [&](const Value& each) { return equal(each, bound.value(0), run); }));
}

template <size_t Count>
bool among(const std::string& name, const std::string_view (&names)[Count]) {
  return std::find(std::begin(names), std::end(names), name) != std::end(names);
}

Method dict_method(const std::string& name) {
  if (name == "get") return get;
  if (name == "keys") return keys;
  if (name == "values") return values;
  if (name == "items") return items;
  return name == "copy" ? copy : nullptr;
}

Method list_method(const Value& list, const std::string& name) {
  if (name == "index") return index;
  if (name == "count") return count;
  return name == "copy" && list.is(List::Form::list) ? copy : nullptr;
}

}  // namespace

Method method_of(const Value& value, const std::string& name, Run& run) {
  constexpr std::string_view kOfDicts[] = {"clear", "pop", "popitem", "setdefault", "update", "fromkeys"};
  constexpr std::string_view kOfLists[] = {"append", "clear", "extend", "insert", "pop", "remove", "reverse", "sort"};
  if (value.text()) return text_method(name, run);
  bool list = value.is(List::Form::list), sequence = list || value.is(List::Form::tuple);
  if ((value.dict() && among(name, kOfDicts)) || (list && among(name, kOfLists)))
    run.fail("'", name, "' would change a ", value.type(), ", which a template may not");
  if (value.dict()) return dict_method(name);
  return sequence ? list_method(value, name) : nullptr;
}

}  // namespace lathe::jinja
