#pragma once

#include "lathe/tokenize/jinja_run.h"

namespace lathe::jinja {

class For;

/// `loop`: where a for statement is. Called, a recursive one runs over other items, one level deeper.
class Loop : public Object {
 public:
  /// `recursive` is null where the statement is not. All must outlive it.
  Loop(std::vector<Value> items, int depth, const For* recursive, const Scope& around)
      : items_(std::move(items)), depth_(depth), recursive_(recursive), around_(around) {}

  bool more() const { return index_ < items_.size(); }
  void advance() { ++index_; }
  const Value& current() const { return items_[index_]; }
  bool empty() const { return items_.empty(); }

  std::string type() const override { return "loop"; }
  std::optional<Value> attribute(const std::string& name, Run& run) const override;
  bool callable() const override { return true; }
  Value call(const Arguments& arguments, Run& run) override;

 private:
  friend struct LoopMethod;
  std::vector<Value> items_;
  size_t index_ = 0;
  int depth_;
  const For* recursive_;
  const Scope& around_;
  mutable std::optional<Value> seen_;  ///< what loop.changed() was asked about last
};

}  // namespace lathe::jinja
