#pragma once

#include "lathe/tokenize/jinja_expressions.h"

namespace lathe::jinja {

/// Text of the template between tags.
class Data : public Statement {
 public:
  Data(int line, std::string text) : Statement(line), text_(MarkedText::unmarked(std::move(text))) {}

 protected:
  Flow execute(Scope&, Run& run) const override;

 private:
  MarkedText text_;
};

/// {{ a }}
class Print : public Statement {
 public:
  Print(int line, const Expression* value) : Statement(line), value_(value) {}

 protected:
  Flow execute(Scope& scope, Run& run) const override;

 private:
  const Expression* value_;
};

/// {% if a %} ... {% elif b %} ... {% else %} ...
class If : public Statement {
 public:
  using Branch = std::pair<const Expression*, Body>;
  If(int line, std::vector<Branch> branches, Body otherwise)
      : Statement(line), branches_(std::move(branches)), otherwise_(std::move(otherwise)) {}

 protected:
  Flow execute(Scope& scope, Run& run) const override;

 private:
  std::vector<Branch> branches_;
  Body otherwise_;
};

/// {% for a, b in c if d recursive %} ... {% else %} ...
class For : public Statement {
 public:
  struct Parts {
    Target target;
    const Expression *items, *test;
    bool recursive;
    Body body, otherwise;
  };
  For(int line, Parts parts) : Statement(line), parts_(std::move(parts)) {}
  void run_over(std::vector<Value> items, const Scope& around, int depth, Run& run) const;

 protected:
  Flow execute(Scope& scope, Run& run) const override;

 private:
  std::vector<Value> selected(std::vector<Value> items, const Scope& around, Run& run) const;
  Parts parts_;
};

/// {% set a = b %}
class Set : public Statement {
 public:
  Set(int line, Target target, const Expression* value) : Statement(line), target_(std::move(target)), value_(value) {}

 protected:
  Flow execute(Scope& scope, Run& run) const override;

 private:
  Target target_;
  const Expression* value_;
};

/// What is written inside goes through filters, then to a name ({% set a | upper %}) or out ({% filter upper %}).
class Captured : public Statement {
 public:
  Captured(int line, std::optional<Target> target, std::vector<const Filtered*> filters, Body body)
      : Statement(line), target_(std::move(target)), filters_(std::move(filters)), body_(std::move(body)) {}

 protected:
  Flow execute(Scope& scope, Run& run) const override;

 private:
  std::optional<Target> target_;
  std::vector<const Filtered*> filters_;
  Body body_;
};

/// What a macro and the body of a call block are.
struct MacroParts {
  std::string name;
  std::vector<std::pair<std::string, const Expression*>> parameters;  ///< with their defaults, or null
  bool uses_caller = false, uses_more = false, uses_more_named = false;
  Body body;
};

/// {% macro a(b, c=d) %} ...
class DefineMacro : public Statement {
 public:
  DefineMacro(int line, MacroParts parts) : Statement(line), parts_(std::move(parts)) {}

 protected:
  Flow execute(Scope& scope, Run& run) const override;

 private:
  MacroParts parts_;
};

/// {% call(a) b(c) %} ...
class CallBlock : public Statement {
 public:
  CallBlock(int line, const Call* call, MacroParts caller) : Statement(line), call_(call), caller_(std::move(caller)) {}

 protected:
  Flow execute(Scope& scope, Run& run) const override;

 private:
  const Call* call_;
  MacroParts caller_;
};

/// {% with a = b %} ...; {% generation %}, which sets names for itself alone
class With : public Statement {
 public:
  With(int line, std::vector<std::pair<Target, const Expression*>> names, Body body)
      : Statement(line), names_(std::move(names)), body_(std::move(body)) {}

 protected:
  Flow execute(Scope& scope, Run& run) const override;

 private:
  std::vector<std::pair<Target, const Expression*>> names_;
  Body body_;
};

/// {% break %}, {% continue %}
class Jump : public Statement {
 public:
  Jump(int line, Flow flow) : Statement(line), flow_(flow) {}

 protected:
  Flow execute(Scope&, Run&) const override { return flow_; }

 private:
  Flow flow_;
};

}  // namespace lathe::jinja
