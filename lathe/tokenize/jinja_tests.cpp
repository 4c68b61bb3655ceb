#include <map>

#include "lathe/base/nearest.h"
#include "lathe/tokenize/jinja_call.h"
#include "lathe/tokenize/jinja_methods.h"
#include "lathe/tokenize/jinja_operators.h"

namespace lathe::jinja {
namespace {

using SimpleTest = bool (*)(const Value& value);
using Test = bool (*)(const Value& value, const Arguments& arguments, Run& run);

bool divisible(const Value& value, const Value& by, Run& run) {
  return equal(arithmetic("%", value, by, run), int64_t{0}, run);
}

bool whole(const Value& value) { return value.integer() && !value.is_bool(); }

bool iterable(const Value& value) { return value.undefined() || value.text() || value.list() || value.dict(); }

/// Has a length and items at places.
bool sequence(const Value& value) {
  return value.undefined() || value.text() || value.dict() || (value.list() && value.list()->form <= List::Form::range);
}

bool in_case(const Value& value, const char* method, Run& run) {
  if (!value.text()) return false;
  return method_of(value, method, run)(value, {}, run).truthy();
}

template <char first, char second = '\0'>
bool compared(const Value& value, const Arguments& arguments, Run& run) {
  Bound bound("this test", arguments, {"other"}, run);
  return compare(second ? std::string{first, second} : std::string{first}, value, bound.value(0), run);
}

/// Tests that need nothing but the value.
const std::map<std::string, SimpleTest, std::less<>>& simple_tests() {
  using V = const Value&;
  static const std::map<std::string, SimpleTest, std::less<>> all = {
      {"defined", [](V v) { return !v.undefined(); }},
      {"undefined", [](V v) { return v.undefined() != nullptr; }},
      {"none", [](V v) { return v.is_none(); }},
      {"boolean", [](V v) { return v.is_bool(); }},
      {"true", [](V v) { return v.is_bool() && v.truthy(); }},
      {"false", [](V v) { return v.is_bool() && !v.truthy(); }},
      {"integer", whole},
      {"float", [](V v) { return v.is_float(); }},
      {"number", [](V v) { return v.is_number(); }},
      {"string", [](V v) { return v.text() != nullptr; }},
      {"mapping", [](V v) { return v.dict() != nullptr; }},
      {"iterable", iterable},
      {"sequence", sequence},
      {"callable", [](V v) { return v.object() && v.object()->callable(); }},
      {"escaped", [](V v) { return v.text() && v.text()->markup; }},
  };
  return all;
}

const std::map<std::string, Test, std::less<>>& tests() {
  using V = const Value&;
  static const std::map<std::string, Test, std::less<>> all = {
      {"odd",
       [](V v, const Arguments&, Run& run) { return equal(arithmetic("%", v, int64_t{2}, run), int64_t{1}, run); }},
      {"even", [](V v, const Arguments&, Run& run) { return divisible(v, int64_t{2}, run); }},
      {"lower", [](V v, const Arguments&, Run& run) { return in_case(v, "islower", run); }},
      {"upper", [](V v, const Arguments&, Run& run) { return in_case(v, "isupper", run); }},
      {"divisibleby", [](V v, const Arguments& a,
                         Run& run) { return divisible(v, Bound("divisibleby", a, {"num"}, run).value(0), run); }},
      {"sameas", [](V v, const Arguments& a, Run& run) { return v.same(Bound("sameas", a, {"other"}, run).value(0)); }},
      {"in", [](V v, const Arguments& a, Run& run) { return contains(Bound("in", a, {"seq"}, run).value(0), v, run); }},
      {"filter", [](V v, const Arguments&, Run&) { return v.text() && has_filter(v.text()->text.bytes()); }},
      {"test", [](V v, const Arguments&, Run&) { return v.text() && has_test(v.text()->text.bytes()); }},
      {"eq", compared<'=', '='>},
      {"==", compared<'=', '='>},
      {"equalto", compared<'=', '='>},
      {"ne", compared<'!', '='>},
      {"!=", compared<'!', '='>},
      {"lt", compared<'<'>},
      {"<", compared<'<'>},
      {"lessthan", compared<'<'>},
      {"le", compared<'<', '='>},
      {"<=", compared<'<', '='>},
      {"gt", compared<'>'>},
      {">", compared<'>'>},
      {"greaterthan", compared<'>'>},
      {"ge", compared<'>', '='>},
      {">=", compared<'>', '='>},
  };
  return all;
}

}  // namespace

bool has_test(const std::string& name) { return tests().count(name) || simple_tests().count(name); }

bool apply_test(const std::string& name, const Value& value, const Arguments& arguments, Run& run) {
  Run::Nested nested(run);
  if (auto found = tests().find(name); found != tests().end()) return found->second(value, arguments, run);
  if (auto found = simple_tests().find(name); found != simple_tests().end()) {
    Bound none(name, arguments, {}, run);
    return found->second(value);
  }
  std::vector<std::string> known;
  for (const auto& [each, test] : simple_tests()) known.push_back(each);
  for (const auto& [each, test] : tests()) known.push_back(each);
  run.fail("the test '", name, "' is not supported", did_you_mean(name, known));
}

}  // namespace lathe::jinja
