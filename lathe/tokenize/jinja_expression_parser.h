#pragma once

#include "lathe/tokenize/jinja_expressions.h"
#include "lathe/tokenize/jinja_token_stream.h"

namespace lathe::jinja {

/// Which of the names with a meaning of their own a macro's body mentions.
struct MacroUses {
  bool caller = false, varargs = false, kwargs = false;
};

/// Reads expressions, as Jinja's grammar orders them, from a stream into a tree; both must outlive it.
class ExpressionParser {
 public:
  ExpressionParser(TokenStream& stream, Tree& tree) : stream_(stream), tree_(tree) {}

  const Expression* expression();
  /// An expression without "a if b else c".
  const Expression* simple() { return either(); }
  /// Expressions with commas between, which make a tuple; without "a if b else c" where `simple`.
  const Expression* tuple(bool with_conditionals);
  const Expression* postfix(const Expression* value);
  const Expression* primary();
  const Expression* unary(bool with_filters);
  /// "|name(a)"; `of` may be null.
  const Filtered* filter(const Expression* of);
  /// What stands in the brackets of a call.
  CallArguments arguments();

  /// Macros whose bodies are being read.
  std::vector<MacroUses> macros;

 private:
  class Deeper;
  using Level = const Expression* (ExpressionParser::*)();
  const Expression* chain(Level operand, std::initializer_list<std::string_view> ops);
  const Expression* either();
  const Expression* both();
  const Expression* negation();
  const Expression* comparison();
  const Expression* sum();
  const Expression* concatenation();
  const Expression* product();
  const Expression* power();
  const Expression* unary_with_filters() { return unary(true); }
  const Expression* name();
  const Expression* string();
  const Expression* number();
  const Expression* list();
  const Expression* dict();
  const Expression* filtered(const Expression* value);
  const Expression* test(const Expression* value);
  const Expression* subscript(const Expression* of);
  bool tuple_ends() const;
  Value text_constant(std::string text);

  TokenStream& stream_;
  Tree& tree_;
  int depth_ = 0;
};

}  // namespace lathe::jinja
