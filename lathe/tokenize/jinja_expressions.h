#pragma once

#include "lathe/tokenize/jinja_syntax.h"

namespace lathe::jinja {

/// A number, true, false, none, or a string of the template.
class Literal : public Expression {
 public:
  Literal(int line, Value value) : Expression(line), value_(value) {}

 protected:
  Value evaluate(Scope&, Run&) const override { return value_; }

 private:
  Value value_;
};

class Name : public Expression {
 public:
  Name(int line, std::string name) : Expression(line), name_(std::move(name)) {}
  const std::string& name() const { return name_; }

 protected:
  Value evaluate(Scope& scope, Run& run) const override;

 private:
  std::string name_;
};

/// [a, b] or (a, b)
class Sequence : public Expression {
 public:
  Sequence(int line, std::vector<const Expression*> items, List::Form form)
      : Expression(line), items_(std::move(items)), form_(form) {}

 protected:
  Value evaluate(Scope& scope, Run& run) const override;

 private:
  std::vector<const Expression*> items_;
  List::Form form_;
};

/// {a: b}
class Mapping : public Expression {
 public:
  Mapping(int line, std::vector<std::pair<const Expression*, const Expression*>> items)
      : Expression(line), items_(std::move(items)) {}

 protected:
  Value evaluate(Scope& scope, Run& run) const override;

 private:
  std::vector<std::pair<const Expression*, const Expression*>> items_;
};

/// not a, -a, +a
class Unary : public Expression {
 public:
  Unary(int line, std::string op, const Expression* operand)
      : Expression(line), op_(std::move(op)), operand_(operand) {}

 protected:
  Value evaluate(Scope& scope, Run& run) const override;

 private:
  std::string op_;
  const Expression* operand_;
};

/// a + b and other arithmetic; a and b, a or b
class Binary : public Expression {
 public:
  Binary(int line, std::string op, const Expression* left, const Expression* right)
      : Expression(line), op_(std::move(op)), left_(left), right_(right) {}

 protected:
  Value evaluate(Scope& scope, Run& run) const override;

 private:
  std::string op_;
  const Expression *left_, *right_;
};

/// a < b == c, in, not in
class Comparison : public Expression {
 public:
  using Rest = std::vector<std::pair<std::string, const Expression*>>;
  Comparison(int line, const Expression* first, Rest rest) : Expression(line), first_(first), rest_(std::move(rest)) {}

 protected:
  Value evaluate(Scope& scope, Run& run) const override;

 private:
  const Expression* first_;
  Rest rest_;
};

/// a ~ b ~ c
class Concatenation : public Expression {
 public:
  Concatenation(int line, std::vector<const Expression*> parts) : Expression(line), parts_(std::move(parts)) {}

 protected:
  Value evaluate(Scope& scope, Run& run) const override;

 private:
  std::vector<const Expression*> parts_;
};

/// a if b else c; without "else" undefined
class Conditional : public Expression {
 public:
  Conditional(int line, const Expression* yes, const Expression* test, const Expression* no)
      : Expression(line), yes_(yes), test_(test), no_(no) {}

 protected:
  Value evaluate(Scope& scope, Run& run) const override;

 private:
  const Expression *yes_, *test_, *no_;
};

/// a.name
class Attribute : public Expression {
 public:
  Attribute(int line, const Expression* of, std::string name) : Expression(line), of_(of), name_(std::move(name)) {}

 protected:
  Value evaluate(Scope& scope, Run& run) const override;

 private:
  const Expression* of_;
  std::string name_;
};

/// a[b]
class Item : public Expression {
 public:
  Item(int line, const Expression* of, const Expression* key) : Expression(line), of_(of), key_(key) {}

 protected:
  Value evaluate(Scope& scope, Run& run) const override;

 private:
  const Expression *of_, *key_;
};

/// a[b:c:d], of which each may be missing
class Slice : public Expression {
 public:
  Slice(int line, const Expression* of, const Expression* start, const Expression* stop, const Expression* step)
      : Expression(line), of_(of), start_(start), stop_(stop), step_(step) {}

 protected:
  Value evaluate(Scope& scope, Run& run) const override;

 private:
  const Expression *of_, *start_, *stop_, *step_;
};

/// a(b, c=d)
class Call : public Expression {
 public:
  Call(int line, const Expression* of, CallArguments arguments)
      : Expression(line), of_(of), arguments_(std::move(arguments)) {}
  /// With one more argument by name, which a call block passes.
  Value call_with(const std::string& name, Value argument, Scope& scope, Run& run) const;

 protected:
  Value evaluate(Scope& scope, Run& run) const override;

 private:
  Value call(Arguments arguments, Scope& scope, Run& run) const;
  const Expression* of_;
  CallArguments arguments_;
};

/// a|name(b)
class Filtered : public Expression {
 public:
  Filtered(int line, const Expression* of, std::string name, CallArguments arguments)
      : Expression(line), of_(of), name_(std::move(name)), arguments_(std::move(arguments)) {}
  Value filter(Value value, Scope& scope, Run& run) const;  ///< as if `value` stood before the |

 protected:
  Value evaluate(Scope& scope, Run& run) const override;

 private:
  const Expression* of_;  ///< null in a filter block
  std::string name_;
  CallArguments arguments_;
};

/// a is name(b)
class Tested : public Expression {
 public:
  Tested(int line, const Expression* of, std::string name, CallArguments arguments)
      : Expression(line), of_(of), name_(std::move(name)), arguments_(std::move(arguments)) {}

 protected:
  Value evaluate(Scope& scope, Run& run) const override;

 private:
  const Expression* of_;
  std::string name_;
  CallArguments arguments_;
};

}  // namespace lathe::jinja
