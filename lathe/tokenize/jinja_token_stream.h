#pragma once

#include "lathe/base/error.h"
#include "lathe/tokenize/jinja_lexer.h"

namespace lathe::jinja {

/// The tokens of a template, as a parser takes them.
class TokenStream {
 public:
  TokenStream(std::vector<Token> tokens, std::string name) : tokens_(std::move(tokens)), name_(std::move(name)) {}

  const Token& now() const { return tokens_[at_]; }
  const Token& ahead() const { return tokens_[std::min(at_ + 1, tokens_.size() - 1)]; }
  Token next() { return tokens_[at_ + 1 < tokens_.size() ? at_++ : at_]; }
  int line() const { return now().line; }
  int line_before() const { return tokens_[at_ > 0 ? at_ - 1 : 0].line; }  ///< of the token taken last

  bool at(Token::Kind kind) const { return now().kind == kind; }
  bool at_op(std::string_view op) const { return at(Token::Kind::op) && now().text == op; }
  bool at_name(std::string_view name) const { return at(Token::Kind::name) && now().text == name; }
  bool take_op(std::string_view op) { return at_op(op) && (next(), true); }
  bool take_name(std::string_view name) { return at_name(name) && (next(), true); }

  /// Throws Error where something else stands.
  void expect_op(std::string_view op) {
    if (!take_op(op)) fail("'", op, "' is expected, here is ", shown());
  }
  void expect_name(std::string_view name) {
    if (!take_name(name)) fail("'", name, "' is expected, here is ", shown());
  }
  std::string expect_any_name() {
    if (!at(Token::Kind::name)) fail("a name is expected, here is ", shown());
    return next().text;
  }
  void expect_block_end() {
    if (!at(Token::Kind::block_end)) fail("'%}' is expected, here is ", shown());
    next();
  }

  template <class... Parts>
  [[noreturn]] void fail(const Parts&... parts) const {
    throw Error(lathe::text(name_, ':', line(), ": ", parts...));
  }
  /// The current token as a message names it.
  std::string shown() const {
    constexpr const char* kNames[] = {"text", "'{{'", "'}}'", "'{%'", "'%}'", "", "", "", "a string", "", "the end"};
    const char* name = kNames[size_t(now().kind)];
    return *name ? name : "'" + now().text.substr(0, 60) + "'";
  }

 private:
  std::vector<Token> tokens_;
  std::string name_;
  size_t at_ = 0;
};

}  // namespace lathe::jinja
