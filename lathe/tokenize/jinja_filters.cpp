#include "lathe/tokenize/jinja_filters.h"

#include "lathe/base/nearest.h"
#include "lathe/tokenize/jinja_operators.h"

namespace lathe::jinja {

bool has_filter(const std::string& name) { return text_filters().count(name) || list_filters().count(name); }

Value apply_filter(const std::string& name, const Value& value, const Arguments& arguments, Run& run) {
  Run::Nested nested(run);
  for (const Filters* filters : {&text_filters(), &list_filters()})
    if (auto found = filters->find(name); found != filters->end()) return found->second(value, arguments, run);
  std::vector<std::string> known;
  for (const Filters* filters : {&text_filters(), &list_filters()})
    for (const auto& [each, filter] : *filters) known.push_back(each);
  run.fail("the filter '", name, "' is not supported", did_you_mean(name, known));
}

}  // namespace lathe::jinja
