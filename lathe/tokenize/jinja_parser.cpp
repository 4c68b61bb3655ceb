#include "lathe/tokenize/jinja_parser.h"

#include <algorithm>
#include <map>

#include "lathe/tokenize/jinja_expression_parser.h"
#include "lathe/tokenize/jinja_statements.h"

namespace lathe::jinja {
namespace {

using Kind = Token::Kind;
using Ends = std::initializer_list<std::string_view>;
constexpr int kDeepest = 60;

class Parser {
 public:
  Parser(std::string_view source, const std::string& name)
      : stream_(tokens_of(source, name), name), expressions_(stream_, tree_) {}

  Tree run() {
    tree_.body = body({});
    return std::move(tree_);
  }

 private:
  Tree tree_;
  TokenStream stream_;
  ExpressionParser expressions_;
  int depth_ = 0, loops_ = 0;

  using Read = const Statement* (Parser::*)(int line);
  static const std::map<std::string, Read, std::less<>> kStatements;

  bool at_end(Ends ends) const {
    if (!stream_.at(Kind::block_begin) || stream_.ahead().kind != Kind::name) return false;
    return std::find(ends.begin(), ends.end(), stream_.ahead().text) != ends.end();
  }

  /// Statements up to a tag that begins with one of `ends`, which is left at its name; up to the end for none.
  Body body(Ends ends) {
    if (depth_ >= kDeepest) stream_.fail("statements nest more than ", kDeepest, " deep");
    ++depth_;
    Body all;
    int line = stream_.line_before();
    while (!at_end(ends)) {
      if (stream_.at(Kind::end)) {
        if (ends.size() == 0) break;
        stream_.fail("the template ends inside the block of line ", line, ": {% ", *(ends.end() - 1), " %} is missing");
      }
      all.push_back(statement());
    }
    if (ends.size() > 0) stream_.next();
    --depth_;
    return all;
  }

  /// body() up to {% `end` %}, which is taken whole.
  Body body_until(std::string_view end) {
    stream_.expect_block_end();
    Body all = body({end});
    stream_.next();
    stream_.expect_block_end();
    return all;
  }

  const Statement* statement() {
    int line = stream_.line();
    if (stream_.at(Kind::data)) return tree_.add<Data>(line, stream_.next().text);
    if (stream_.at(Kind::print_begin)) {
      stream_.next();
      const Expression* value = expressions_.tuple(true);
      if (!stream_.at(Kind::print_end)) stream_.fail("'}}' is expected, here is ", stream_.shown());
      stream_.next();
      return tree_.add<Print>(line, value);
    }
    stream_.next();
    std::string tag = stream_.expect_any_name();
    auto known = kStatements.find(tag);
    if (known == kStatements.end()) unknown(tag);
    return (this->*known->second)(line);
  }

  [[noreturn]] void unknown(const std::string& tag) const {
    constexpr std::string_view kFiles[] = {"include", "import", "from", "extends", "block"};
    if (std::find(std::begin(kFiles), std::end(kFiles), tag) != std::end(kFiles))
      stream_.fail("{% ", tag, " %} is not supported: a chat template is one file");
    if (tag.starts_with("end") || tag == "else" || tag == "elif")
      stream_.fail("{% ", tag, " %} closes nothing that is open");
    stream_.fail("{% ", tag, " %} is not supported");
  }

  const Statement* if_statement(int line) {
    std::vector<If::Branch> branches;
    Body otherwise;
    for (;;) {
      const Expression* test = expressions_.tuple(false);
      stream_.expect_block_end();
      branches.emplace_back(test, body({"elif", "else", "endif"}));
      if (stream_.take_name("elif")) continue;
      if (stream_.take_name("else"))
        otherwise = body_until("endif");
      else
        stream_.next(), stream_.expect_block_end();
      return tree_.add<If>(line, std::move(branches), std::move(otherwise));
    }
  }

  const Statement* for_statement(int line) {
    For::Parts parts{};
    parts.target = targets("in");
    stream_.expect_name("in");
    parts.items = expressions_.tuple(false);
    if (stream_.take_name("if")) parts.test = expressions_.expression();
    parts.recursive = stream_.take_name("recursive");
    stream_.expect_block_end();
    ++loops_;
    parts.body = body({"else", "endfor"});
    --loops_;
    if (stream_.take_name("else"))
      parts.otherwise = body_until("endfor");
    else
      stream_.next(), stream_.expect_block_end();
    return tree_.add<For>(line, std::move(parts));
  }

  Target target() {
    if (stream_.take_op("(")) {
      Target inner = targets(")");
      stream_.expect_op(")");
      return inner;
    }
    Target one;
    one.name = stream_.expect_any_name();
    for (std::string_view word : {"true", "false", "none", "True", "False", "None"})
      if (one.name == word) stream_.fail("'", word, "' cannot be set");
    return one;
  }

  /// a, b up to `end`
  Target targets(std::string_view end) {
    if (depth_ >= kDeepest) stream_.fail("names nest more than ", kDeepest, " deep");
    ++depth_;
    Target all;
    bool comma = false;
    while (!stream_.at_op(end) && !stream_.at_name(end)) {
      all.parts.push_back(target());
      if (!stream_.take_op(",")) break;
      comma = true;
    }
    --depth_;
    if (all.parts.empty()) stream_.fail("a name is expected, here is ", stream_.shown());
    return comma ? all : Target(all.parts[0]);
  }

  const Statement* set_statement(int line) {
    Target target;
    if (stream_.at(Kind::name) && stream_.ahead().kind == Kind::op && stream_.ahead().text == ".") {
      target.name = stream_.next().text;
      stream_.next();
      target.attribute = stream_.expect_any_name();
    } else {
      target = targets("=");
    }
    if (stream_.take_op("=")) {
      const Expression* value = expressions_.tuple(true);
      stream_.expect_block_end();
      return tree_.add<Set>(line, std::move(target), value);
    }
    std::vector<const Filtered*> filters;
    while (stream_.take_op("|")) filters.push_back(expressions_.filter(nullptr));
    Body inside = body_until("endset");
    return tree_.add<Captured>(line, std::optional(std::move(target)), std::move(filters), std::move(inside));
  }

  const Statement* filter_statement(int line) {
    std::vector<const Filtered*> filters;
    do filters.push_back(expressions_.filter(nullptr));
    while (stream_.take_op("|"));
    Body inside = body_until("endfilter");
    return tree_.add<Captured>(line, std::nullopt, std::move(filters), std::move(inside));
  }

  /// (a, b=c) behind a macro's name.
  void parameters(MacroParts& macro) {
    stream_.expect_op("(");
    while (!stream_.at_op(")")) {
      std::string name = stream_.expect_any_name();
      const Expression* fallback = stream_.take_op("=") ? expressions_.expression() : nullptr;
      if (!fallback && !macro.parameters.empty() && macro.parameters.back().second)
        stream_.fail("parameter '", name, "' without a default stands behind one with a default");
      macro.parameters.emplace_back(name, fallback);
      if (!stream_.at_op(")")) stream_.expect_op(",");
    }
    stream_.expect_op(")");
  }

  void macro_body(MacroParts& macro, std::string_view end) {
    int loops = std::exchange(loops_, 0);
    expressions_.macros.emplace_back();
    macro.body = body_until(end);
    MacroUses uses = expressions_.macros.back();
    expressions_.macros.pop_back();
    loops_ = loops;
    macro.uses_caller = uses.caller, macro.uses_more = uses.varargs, macro.uses_more_named = uses.kwargs;
  }

  const Statement* macro_statement(int line) {
    MacroParts macro;
    macro.name = stream_.expect_any_name();
    parameters(macro);
    macro_body(macro, "endmacro");
    return tree_.add<DefineMacro>(line, std::move(macro));
  }

  const Statement* call_statement(int line) {
    MacroParts caller;
    caller.name = "caller";
    if (stream_.at_op("(")) parameters(caller);
    const auto* call = dynamic_cast<const Call*>(expressions_.expression());
    if (!call) stream_.fail("{% call %} needs the call of a macro");
    macro_body(caller, "endcall");
    return tree_.add<CallBlock>(line, call, std::move(caller));
  }

  const Statement* with_statement(int line) {
    std::vector<std::pair<Target, const Expression*>> names;
    while (!stream_.at(Kind::block_end)) {
      Target name = target();
      stream_.expect_op("=");
      names.emplace_back(std::move(name), expressions_.expression());
      if (!stream_.at(Kind::block_end)) stream_.expect_op(",");
    }
    Body inside = body_until("endwith");
    return tree_.add<With>(line, std::move(names), std::move(inside));
  }

  /// Marks what a model answered, for training; here it is text like any other.
  const Statement* generation_statement(int line) {
    int loops = std::exchange(loops_, 0);
    Body inside = body_until("endgeneration");
    loops_ = loops;
    return tree_.add<With>(line, std::vector<std::pair<Target, const Expression*>>{}, std::move(inside));
  }

  const Statement* break_statement(int line) { return jump(line, Flow::leave, "break"); }
  const Statement* continue_statement(int line) { return jump(line, Flow::again, "continue"); }
  const Statement* jump(int line, Flow flow, const char* name) {
    if (loops_ == 0) stream_.fail("{% ", name, " %} stands outside of a loop");
    stream_.expect_block_end();
    return tree_.add<Jump>(line, flow);
  }
};

const std::map<std::string, Parser::Read, std::less<>> Parser::kStatements = {
    {"if", &Parser::if_statement},       {"for", &Parser::for_statement},
    {"set", &Parser::set_statement},     {"macro", &Parser::macro_statement},
    {"call", &Parser::call_statement},   {"filter", &Parser::filter_statement},
    {"with", &Parser::with_statement},   {"generation", &Parser::generation_statement},
    {"break", &Parser::break_statement}, {"continue", &Parser::continue_statement}};

}  // namespace

Tree parse(std::string_view source, const std::string& name) {
  constexpr size_t kLargest = size_t{1} << 20;
  require(source.size() <= kLargest, name, ": a template of ", source.size(), " bytes; at most ", kLargest,
          " are read");
  return Parser(source, name).run();
}

}  // namespace lathe::jinja
