#pragma once

#include <functional>
#include <memory>

#include "lathe/tokenize/jinja_run.h"

namespace lathe::jinja {

class Tree;

/// A template in our subset of Jinja, which means there what it means to transformers: Jinja2 3.1 with trim_blocks,
/// lstrip_blocks, loop controls, and nothing that could read files, change what it is given, or go on without end.
/// Immutable; any number of threads may render.
class Template {
 public:
  /// Throws Error naming `name`, the line, and the construct that is wrong or not supported.
  Template(std::string_view source, std::string name);
  Template(Template&&) noexcept;
  Template& operator=(Template&&) noexcept;
  ~Template();

  /// What it writes with the names that `give` sets, beside those that every template has; `now` is the time it sees.
  /// Throws Error where the template raises one, does what Python refuses, or costs more than `limits`.
  MarkedText render(const Limits& limits, std::time_t now, const std::function<void(Scope&, Run&)>& give) const;

 private:
  std::string name_;
  std::unique_ptr<const Tree> tree_;
};

}  // namespace lathe::jinja
