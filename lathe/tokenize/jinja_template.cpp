#include "lathe/tokenize/jinja_template.h"

#include "lathe/tokenize/jinja_functions.h"
#include "lathe/tokenize/jinja_parser.h"

namespace lathe::jinja {

Template::Template(std::string_view source, std::string name)
    : name_(std::move(name)), tree_(std::make_unique<const Tree>(parse(source, name_))) {}
Template::Template(Template&&) noexcept = default;
Template& Template::operator=(Template&&) noexcept = default;
Template::~Template() = default;

MarkedText Template::render(const Limits& limits, std::time_t now,
                            const std::function<void(Scope&, Run&)>& give) const {
  Run run(name_, limits, now);
  Scope functions(nullptr), names(&functions);
  set_functions(functions, run);
  give(names, run);
  run_all(tree_->body, names, run);
  return std::move(run.output());
}

}  // namespace lathe::jinja
