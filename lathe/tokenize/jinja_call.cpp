#include "lathe/tokenize/jinja_call.h"

#include <algorithm>

namespace lathe::jinja {

Bound::Bound(std::string function, const Arguments& arguments, std::initializer_list<const char*> parameters, Run& run)
    : function_(std::move(function)), names_(parameters), values_(parameters.size()), run_(run) {
  size_t count = arguments.positional.size();
  if (count > names_.size()) run.fail(function_, " takes ", names_.size(), " arguments, here are ", count);
  for (size_t i = 0; i < count; ++i) values_[i] = arguments.positional[i];
  for (const auto& argument : arguments.named) {
    const std::string& name = argument.first;
    auto found = std::find_if(names_.begin(), names_.end(), [&](const char* known) { return name == known; });
    if (found == names_.end()) run.fail(function_, " has no parameter '", name, "'");
    std::optional<Value>& place = values_[size_t(found - names_.begin())];
    if (place) run.fail(function_, ": '", name, "' is given twice");
    place = argument.second;
  }
}

Value Bound::value(size_t parameter) const {
  if (!has(parameter)) run_.fail(function_, ": '", names_[parameter], "' is missing");
  return *values_[parameter];
}

const MarkedText& Bound::text(size_t parameter) const {
  Value given = value(parameter);
  if (given.undefined()) run_.fail(given.undefined()->why);
  if (!given.text()) run_.fail(function_, ": '", names_[parameter], "' must be a text, here it is a ", given.type());
  return given.text()->text;
}

int64_t Bound::integer(size_t parameter) const {
  Value given = value(parameter);
  if (given.undefined()) run_.fail(given.undefined()->why);
  if (!given.integer())
    run_.fail(function_, ": '", names_[parameter], "' must be a whole number, here it is a ", given.type());
  return *given.integer();
}

}  // namespace lathe::jinja
