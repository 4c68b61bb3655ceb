#include <algorithm>
#include <cmath>

#include "lathe/tokenize/jinja_characters.h"
#include "lathe/tokenize/jinja_filters.h"
#include "lathe/tokenize/jinja_methods.h"
#include "lathe/tokenize/jinja_operators.h"
#include "lathe/tokenize/jinja_print.h"

namespace lathe::jinja {
namespace {

Value generated(std::vector<Value> items, Run& run) { return run.list(std::move(items), List::Form::generator); }

/// value.a.b.0 for the path "a.b.0"; the value itself for none.
Value at_path(Value value, const Value& path, Run& run) {
  if (path.is_none()) return value;
  if (path.integer()) return item_of(value, path, run);
  if (!path.text()) run.fail("an attribute's name must be a text, here it is a ", path.type());
  std::string_view rest = path.text()->text.bytes();
  for (bool more = true; more;) {
    std::string part(rest.substr(0, rest.find('.')));
    more = part.size() < rest.size();
    rest.remove_prefix(part.size() + more);
    bool digits = !part.empty() && part.size() < 18 && part.find_first_not_of("0123456789") == std::string::npos;
    value = item_of(value, digits ? Value(int64_t(std::stoll(part))) : run.plain(part), run);
  }
  return value;
}

/// The paths of "a.b,c".
std::vector<Value> paths_of(const Value& path, Run& run) {
  std::vector<Value> paths;
  if (!path.text()) return {path};
  const std::string& all = path.text()->text.bytes();
  for (size_t begin = 0, end; begin <= all.size(); begin = end + 1) {
    end = std::min(all.find(',', begin), all.size());
    paths.push_back(run.plain(all.substr(begin, end - begin)));
  }
  return paths;
}

Value lowered(const Value& value, bool case_sensitive, Run& run) {
  return case_sensitive || !value.text() ? value : run.text(in_lower_case(value.text()->text, run));
}

/// Sorts `items` by `key`, in n log n comparisons however long they are.
template <class Item, class Key>
void sort_by(std::vector<Item>& items, bool reverse, Run& run, Key key) {
  std::vector<std::pair<Value, Item>> keyed;
  for (const Item& item : items) keyed.emplace_back(key(item), item);
  std::stable_sort(keyed.begin(), keyed.end(), [&](const auto& a, const auto& b) {
    return reverse ? less(b.first, a.first, run) : less(a.first, b.first, run);
  });
  for (size_t i = 0; i < items.size(); ++i) items[i] = keyed[i].second;
}

Value fallback(const Value& value, const Arguments& arguments, Run& run) {
  Bound bound("default", arguments, {"default_value", "boolean"}, run);
  bool missing = value.undefined() || (bound.flag(1, false) && !value.truthy());
  return missing ? (bound.has(0) ? bound.value(0) : run.plain("")) : value;
}

Value count(const Value& value, const Arguments& arguments, Run& run) {
  Bound bound("length", arguments, {}, run);
  return length(value, run);
}

Value list(const Value& value, const Arguments& arguments, Run& run) {
  Bound bound("list", arguments, {}, run);
  return run.list(iterated(value, run));
}

Value first(const Value& value, const Arguments& arguments, Run& run) {
  Bound bound("first", arguments, {}, run);
  if (value.is(List::Form::generator) && value.list()->taken < value.list()->items.size())
    return value.list()->items[value.list()->taken++];
  std::vector<Value> items = iterated(value, run);
  return items.empty() ? run.undefined("the first item of nothing is undefined") : items.front();
}

Value last(const Value& value, const Arguments& arguments, Run& run) {
  Bound bound("last", arguments, {}, run);
  if (value.is(List::Form::generator)) run.fail("last: a generator has no end to begin at; put |list before it");
  std::vector<Value> items = iterated(value, run);
  return items.empty() ? run.undefined("the last item of nothing is undefined") : items.back();
}

Value reverse(const Value& value, const Arguments& arguments, Run& run) {
  Bound bound("reverse", arguments, {}, run);
  std::vector<Value> items = iterated(value, run);
  std::reverse(items.begin(), items.end());
  if (!value.text()) return generated(std::move(items), run);
  MarkedText out;
  for (const Value& character : items) out.append(character.text()->text);
  return run.text(std::move(out));
}

Value join(const Value& value, const Arguments& arguments, Run& run) {
  Bound bound("join", arguments, {"d", "attribute"}, run);
  MarkedText between = bound.has(0) ? printed(bound.value(0), run) : MarkedText(), out;
  bool behind = false;
  for (const Value& item : iterated(value, run)) {
    if (behind) {
      run.charge(int64_t(between.size()));
      out.append(between);
    }
    append_printed(out, at_path(item, bound.value(1, Value()), run), run);
    behind = true;
  }
  return run.text(std::move(out));
}

Value items(const Value& value, const Arguments& arguments, Run& run) {
  Bound bound("items", arguments, {}, run);
  if (!value.dict() && !value.undefined()) run.fail("items: a ", value.type(), " is no dict");
  std::vector<Value> pairs;
  if (value.dict())
    for (const auto& [key, content] : value.dict()->items) pairs.push_back(run.list({key, content}, List::Form::tuple));
  return generated(std::move(pairs), run);
}

Value dictsort(const Value& value, const Arguments& arguments, Run& run) {
  Bound bound("dictsort", arguments, {"case_sensitive", "by", "reverse"}, run);
  std::string by = bound.has(1) ? bound.text(1).bytes() : "key";
  if (!value.dict()) run.fail("dictsort: a ", value.type(), " is no dict");
  if (by != "key" && by != "value") run.fail("dictsort: by must be 'key' or 'value', not '", by, "'");
  std::vector<std::pair<Value, Value>> sorted = value.dict()->items;
  sort_by(sorted, bound.flag(2, false), run,
          [&](const auto& item) { return lowered(by == "key" ? item.first : item.second, bound.flag(0, false), run); });
  std::vector<Value> pairs;
  for (const auto& [key, content] : sorted) pairs.push_back(run.list({key, content}, List::Form::tuple));
  return run.list(std::move(pairs));
}

Value sort(const Value& value, const Arguments& arguments, Run& run) {
  Bound bound("sort", arguments, {"reverse", "case_sensitive", "attribute"}, run);
  std::vector<Value> sorted = iterated(value, run), paths = paths_of(bound.value(2, Value()), run);
  sort_by(sorted, bound.flag(0, false), run, [&](const Value& item) {
    std::vector<Value> keys;
    for (const Value& path : paths) keys.push_back(lowered(at_path(item, path, run), bound.flag(1, false), run));
    return run.list(std::move(keys));
  });
  return run.list(std::move(sorted));
}

Value extreme(const char* name, const Value& value, const Arguments& arguments, Run& run, bool most) {
  Bound bound(name, arguments, {"case_sensitive", "attribute"}, run);
  std::optional<Value> best, key;
  for (const Value& item : iterated(value, run)) {
    Value other = lowered(at_path(item, bound.value(1, Value()), run), bound.flag(0, false), run);
    if (key && !(most ? less(*key, other, run) : less(other, *key, run))) continue;
    best = item, key = other;
  }
  return best ? *best : run.undefined("the extreme of nothing is undefined");
}

Value largest(const Value& value, const Arguments& a, Run& run) { return extreme("max", value, a, run, true); }
Value least(const Value& value, const Arguments& a, Run& run) { return extreme("min", value, a, run, false); }

Value sum(const Value& value, const Arguments& arguments, Run& run) {
  Bound bound("sum", arguments, {"attribute", "start"}, run);
  Value total = bound.value(1, int64_t{0});
  if (total.text()) run.fail("sum: cannot sum texts; use join");
  for (const Value& item : iterated(value, run))
    total = arithmetic("+", total, at_path(item, bound.value(0, Value()), run), run);
  return total;
}

Value unique(const Value& value, const Arguments& arguments, Run& run) {
  Bound bound("unique", arguments, {"case_sensitive", "attribute"}, run);
  std::vector<Value> kept, keys;
  for (const Value& item : iterated(value, run)) {
    Value key = lowered(at_path(item, bound.value(1, Value()), run), bound.flag(0, false), run);
    if (std::any_of(keys.begin(), keys.end(), [&](const Value& known) { return equal(known, key, run); })) continue;
    kept.push_back(item);
    keys.push_back(key);
  }
  return generated(std::move(kept), run);
}

Value groupby(const Value& value, const Arguments& arguments, Run& run) {
  Bound bound("groupby", arguments, {"attribute", "default", "case_sensitive"}, run);
  auto key_of = [&](const Value& item) {
    Value key = at_path(item, bound.value(0), run);
    return key.undefined() && bound.has(1) ? bound.value(1) : key;
  };
  bool cased = bound.flag(2, false);
  std::vector<Value> sorted = iterated(value, run), groups, group;
  sort_by(sorted, false, run, [&](const Value& item) { return lowered(key_of(item), cased, run); });
  for (size_t i = 0; i < sorted.size(); ++i) {
    group.push_back(sorted[i]);
    bool ends = i + 1 == sorted.size() ||
                !equal(lowered(key_of(sorted[i]), cased, run), lowered(key_of(sorted[i + 1]), cased, run), run);
    if (!ends) continue;
    groups.push_back(run.list({key_of(group.front()), run.list(group)}, List::Form::tuple));
    group.clear();
  }
  return run.list(std::move(groups));
}

Value batch(const Value& value, const Arguments& arguments, Run& run) {
  Bound bound("batch", arguments, {"linecount", "fill_with"}, run);
  int64_t size = bound.integer(0);
  if (size < 1) run.fail("batch: the size ", size, " must be above 0");
  std::vector<Value> batches, current;
  for (const Value& item : iterated(value, run)) {
    current.push_back(item);
    if (int64_t(current.size()) < size) continue;
    batches.push_back(run.list(std::exchange(current, {})));
  }
  if (!current.empty() && !bound.value(1, Value()).is_none()) {
    run.charge(int64_t(sizeof(Value)) * std::min(size, int64_t{1} << 40));
    current.resize(size_t(size), bound.value(1));
  }
  if (!current.empty()) batches.push_back(run.list(std::move(current)));
  return generated(std::move(batches), run);
}

Value slice(const Value& value, const Arguments& arguments, Run& run) {
  Bound bound("slice", arguments, {"slices", "fill_with"}, run);
  std::vector<Value> all = iterated(value, run), slices;
  int64_t count = bound.integer(0), size = int64_t(all.size());
  if (count < 1) run.fail("slice: the number ", count, " must be above 0");
  run.charge(std::min(count, int64_t{1} << 40) * 64);
  for (int64_t i = 0, at = 0; i < count; ++i) {
    int64_t items = size / count + (i < size % count);
    std::vector<Value> part(all.begin() + at, all.begin() + at + items);
    at += items;
    if (bound.has(1) && !bound.value(1).is_none() && i >= size % count) part.push_back(bound.value(1));
    slices.push_back(run.list(std::move(part)));
  }
  return generated(std::move(slices), run);
}

Value attribute(const Value& value, const Arguments& arguments, Run& run) {
  Bound bound("attr", arguments, {"name"}, run);
  const std::string& name = bound.text(0).bytes();
  if (value.dict() && !method_of(value, name, run))
    return run.undefined("'dict object' has no attribute '" + name + "'");
  return attribute_of(value, name, run);
}

/// The rest of `arguments` behind the first `count`.
Arguments behind(const Arguments& arguments, size_t count) {
  Arguments rest = arguments;
  rest.positional.erase(rest.positional.begin(), rest.positional.begin() + std::ptrdiff_t(count));
  return rest;
}

const std::string& name_in(const char* filter, const Arguments& arguments, size_t place, Run& run) {
  if (arguments.positional.size() <= place || !arguments.positional[place].text())
    run.fail(filter, ": a name must stand in brackets");
  return arguments.positional[place].text()->text.bytes();
}

Value map(const Value& value, const Arguments& arguments, Run& run) {
  std::vector<Value> mapped;
  if (arguments.positional.empty()) {
    Bound bound("map", arguments, {"attribute", "default"}, run);
    for (const Value& item : iterated(value, run)) {
      Value found = at_path(item, bound.value(0), run);
      mapped.push_back(found.undefined() && bound.has(1) ? bound.value(1) : found);
    }
    return generated(std::move(mapped), run);
  }
  const std::string& name = name_in("map", arguments, 0, run);
  Arguments rest = behind(arguments, 1);
  for (const Value& item : iterated(value, run)) mapped.push_back(apply_filter(name, item, rest, run));
  return generated(std::move(mapped), run);
}

/// select, reject, selectattr, rejectattr: the items for which a test (without one: their truth) is `wanted`.
Value chosen(const char* filter, const Value& value, const Arguments& arguments, Run& run, bool by_path, bool wanted) {
  if (by_path && arguments.positional.empty()) run.fail(filter, ": an attribute's name must stand in brackets");
  Value path = by_path ? arguments.positional[0] : Value();
  bool has_test = arguments.positional.size() > size_t(by_path);
  std::string test = has_test ? name_in(filter, arguments, by_path, run) : "";
  Arguments rest = behind(arguments, size_t(by_path) + has_test);
  std::vector<Value> kept;
  for (const Value& item : iterated(value, run)) {
    Value tested = at_path(item, path, run);
    if ((has_test ? apply_test(test, tested, rest, run) : tested.truthy()) == wanted) kept.push_back(item);
  }
  return generated(std::move(kept), run);
}

Value select(const Value& v, const Arguments& a, Run& run) { return chosen("select", v, a, run, false, true); }
Value reject(const Value& v, const Arguments& a, Run& run) { return chosen("reject", v, a, run, false, false); }
Value selectattr(const Value& v, const Arguments& a, Run& run) { return chosen("selectattr", v, a, run, true, true); }
Value rejectattr(const Value& v, const Arguments& a, Run& run) { return chosen("rejectattr", v, a, run, true, false); }

}  // namespace

const Filters& list_filters() {
  static const Filters filters = {{"default", fallback},
                                  {"d", fallback},
                                  {"length", count},
                                  {"count", count},
                                  {"list", list},
                                  {"first", first},
                                  {"last", last},
                                  {"reverse", reverse},
                                  {"join", join},
                                  {"items", items},
                                  {"dictsort", dictsort},
                                  {"sort", sort},
                                  {"max", largest},
                                  {"min", least},
                                  {"sum", sum},
                                  {"unique", unique},
                                  {"groupby", groupby},
                                  {"batch", batch},
                                  {"slice", slice},
                                  {"attr", attribute},
                                  {"map", map},
                                  {"select", select},
                                  {"reject", reject},
                                  {"selectattr", selectattr},
                                  {"rejectattr", rejectattr}};
  return filters;
}

}  // namespace lathe::jinja
