#pragma once

#include <memory>
#include <string>
#include <vector>

#include "lathe/tokenize/jinja_run.h"

/// The syntax tree of a template, which evaluates itself. Nodes belong to their Tree and point to each other, so that a
/// tree of any shape is freed without recursion.
namespace lathe::jinja {

class Expression : public Kept {
 public:
  explicit Expression(int line) : line_(line) {}
  Value value(Scope& scope, Run& run) const;
  int line() const { return line_; }

 protected:
  virtual Value evaluate(Scope& scope, Run& run) const = 0;

 private:
  int line_;
};

/// Whether statements go on, or a loop around them is to break or continue.
enum class Flow : uint8_t { on, leave, again };

class Statement : public Kept {
 public:
  explicit Statement(int line) : line_(line) {}
  Flow run(Scope& scope, Run& run) const;

 protected:
  virtual Flow execute(Scope& scope, Run& run) const = 0;

 private:
  int line_;
};

using Body = std::vector<const Statement*>;
Flow run_all(const Body& body, Scope& scope, Run& run);

class Tree {
 public:
  template <class Node, class... Parts>
  Node* add(Parts&&... parts) {
    auto node = std::make_unique<Node>(std::forward<Parts>(parts)...);
    Node* raw = node.get();
    nodes_.push_back(std::move(node));
    return raw;
  }
  Body body;

 private:
  std::vector<std::unique_ptr<Kept>> nodes_;
};

/// What a call passes, as it is written; a `*list` or `**dict` at its end too.
struct CallArguments {
  std::vector<const Expression*> positional;
  std::vector<std::pair<std::string, const Expression*>> named;
  const Expression *more_positional = nullptr, *more_named = nullptr;
  Arguments values(Scope& scope, Run& run) const;
};

/// What an assignment fills: a name, an attribute of a namespace, or several of them.
struct Target {
  std::string name, attribute;
  std::vector<Target> parts;
  void assign(Value value, Scope& scope, Run& run) const;
};

}  // namespace lathe::jinja
