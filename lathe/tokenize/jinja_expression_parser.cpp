#include "lathe/tokenize/jinja_expression_parser.h"

#include <algorithm>
#include <charconv>

namespace lathe::jinja {
namespace {

using Kind = Token::Kind;
constexpr int kDeepest = 400;  // a bracket takes four of them

}  // namespace

/// While one lives, an expression is read inside another.
class ExpressionParser::Deeper {
 public:
  explicit Deeper(ExpressionParser& parser) : parser_(parser) {
    if (parser.depth_ >= kDeepest) parser.stream_.fail("expressions nest more than ", kDeepest, " deep");
    ++parser.depth_;
  }
  ~Deeper() { --parser_.depth_; }

 private:
  ExpressionParser& parser_;
};

const Expression* ExpressionParser::expression() {
  Deeper deeper(*this);
  int line = stream_.line();
  const Expression* value = either();
  while (stream_.take_name("if")) {
    const Expression* test = either();
    const Expression* no = stream_.take_name("else") ? expression() : nullptr;
    value = tree_.add<Conditional>(line, value, test, no);
  }
  return value;
}

/// operand op operand op ..., from the left
const Expression* ExpressionParser::chain(Level operand, std::initializer_list<std::string_view> ops) {
  const Expression* left = (this->*operand)();
  for (;;) {
    auto op = std::find_if(ops.begin(), ops.end(),
                           [&](std::string_view each) { return stream_.at_op(each) || stream_.at_name(each); });
    if (op == ops.end()) return left;
    int line = stream_.line();
    stream_.next();
    left = tree_.add<Binary>(line, std::string(*op), left, (this->*operand)());
  }
}

const Expression* ExpressionParser::either() { return chain(&ExpressionParser::both, {"or"}); }
const Expression* ExpressionParser::both() { return chain(&ExpressionParser::negation, {"and"}); }
const Expression* ExpressionParser::sum() { return chain(&ExpressionParser::concatenation, {"+", "-"}); }
const Expression* ExpressionParser::product() { return chain(&ExpressionParser::power, {"*", "/", "//", "%"}); }
const Expression* ExpressionParser::power() { return chain(&ExpressionParser::unary_with_filters, {"**"}); }

const Expression* ExpressionParser::negation() {
  Deeper deeper(*this);
  int line = stream_.line();
  if (stream_.take_name("not")) return tree_.add<Unary>(line, "not", negation());
  return comparison();
}

const Expression* ExpressionParser::comparison() {
  constexpr std::string_view kOps[] = {"==", "!=", "<", "<=", ">", ">="};
  int line = stream_.line();
  const Expression* first = sum();
  Comparison::Rest rest;
  for (;;) {
    bool symbol =
        stream_.at(Kind::op) && std::find(std::begin(kOps), std::end(kOps), stream_.now().text) != std::end(kOps);
    bool not_in = stream_.at_name("not") && stream_.ahead().kind == Kind::name && stream_.ahead().text == "in";
    if (!symbol && !not_in && !stream_.at_name("in")) break;
    std::string op = stream_.next().text;
    if (not_in) stream_.next(), op = "not in";
    rest.emplace_back(op, sum());
  }
  return rest.empty() ? first : tree_.add<Comparison>(line, first, std::move(rest));
}

const Expression* ExpressionParser::concatenation() {
  int line = stream_.line();
  std::vector<const Expression*> parts = {product()};
  while (stream_.take_op("~")) parts.push_back(product());
  return parts.size() == 1 ? parts[0] : tree_.add<Concatenation>(line, std::move(parts));
}

const Expression* ExpressionParser::unary(bool with_filters) {
  Deeper deeper(*this);
  int line = stream_.line();
  const Expression* value = nullptr;
  if (stream_.at_op("-") || stream_.at_op("+")) {
    std::string op = stream_.next().text;
    value = tree_.add<Unary>(line, op, unary(false));
  } else {
    value = primary();
  }
  value = postfix(value);
  return with_filters ? filtered(value) : value;
}

const Expression* ExpressionParser::primary() {
  Deeper deeper(*this);
  if (stream_.at(Kind::name)) return name();
  if (stream_.at(Kind::string)) return string();
  if (stream_.at(Kind::integer) || stream_.at(Kind::floating)) return number();
  if (stream_.at_op("[")) return list();
  if (stream_.at_op("{")) return dict();
  int line = stream_.line();
  if (!stream_.take_op("(")) stream_.fail("an expression is expected, here is ", stream_.shown());
  const Expression* value =
      stream_.at_op(")") ? tree_.add<Sequence>(line, std::vector<const Expression*>{}, List::Form::tuple) : tuple(true);
  stream_.expect_op(")");
  return value;
}

const Expression* ExpressionParser::name() {
  int line = stream_.line();
  std::string name = stream_.next().text;
  if (name == "true" || name == "True") return tree_.add<Literal>(line, true);
  if (name == "false" || name == "False") return tree_.add<Literal>(line, false);
  if (name == "none" || name == "None") return tree_.add<Literal>(line, Value());
  for (MacroUses& uses : macros) {
    uses.caller |= name == "caller";
    uses.varargs |= name == "varargs";
    uses.kwargs |= name == "kwargs";
  }
  return tree_.add<Name>(line, std::move(name));
}

Value ExpressionParser::text_constant(std::string text) {
  return static_cast<const Text*>(tree_.add<Text>(MarkedText::unmarked(std::move(text))));
}

const Expression* ExpressionParser::string() {
  int line = stream_.line();
  std::string all;
  while (stream_.at(Kind::string)) all += stream_.next().text;
  return tree_.add<Literal>(line, text_constant(std::move(all)));
}

const Expression* ExpressionParser::number() {
  int line = stream_.line();
  bool floating = stream_.at(Kind::floating);
  std::string written = stream_.next().text;
  const char *begin = written.data(), *end = begin + written.size();
  if (floating) return tree_.add<Literal>(line, std::strtod(begin, nullptr));
  char letter = written.size() > 1 ? char(written[1] | 32) : ' ';
  int base = letter == 'x' ? 16 : letter == 'o' ? 8 : letter == 'b' ? 2 : 10;
  int64_t value = 0;
  if (std::from_chars(begin + (base == 10 ? 0 : 2), end, value, base).ec != std::errc())
    stream_.fail("the number ", written.substr(0, 60), " has more than 64 bits, which is not supported");
  return tree_.add<Literal>(line, value);
}

const Expression* ExpressionParser::list() {
  int line = stream_.line();
  std::vector<const Expression*> items;
  stream_.expect_op("[");
  while (!stream_.at_op("]")) {
    items.push_back(expression());
    if (!stream_.at_op("]")) stream_.expect_op(",");
  }
  stream_.expect_op("]");
  return tree_.add<Sequence>(line, std::move(items), List::Form::list);
}

const Expression* ExpressionParser::dict() {
  int line = stream_.line();
  std::vector<std::pair<const Expression*, const Expression*>> items;
  stream_.expect_op("{");
  while (!stream_.at_op("}")) {
    const Expression* key = expression();
    stream_.expect_op(":");
    items.emplace_back(key, expression());
    if (!stream_.at_op("}")) stream_.expect_op(",");
  }
  stream_.expect_op("}");
  return tree_.add<Mapping>(line, std::move(items));
}

bool ExpressionParser::tuple_ends() const {
  return stream_.at(Kind::print_end) || stream_.at(Kind::block_end) || stream_.at_op(")") ||
         stream_.at_name("recursive");
}

const Expression* ExpressionParser::tuple(bool with_conditionals) {
  int line = stream_.line();
  std::vector<const Expression*> items;
  bool comma = false;
  while (!tuple_ends()) {
    items.push_back(with_conditionals ? expression() : simple());
    if (!stream_.take_op(",")) break;
    comma = true;
  }
  if (items.empty()) stream_.fail("an expression is expected, here is ", stream_.shown());
  return comma ? tree_.add<Sequence>(line, std::move(items), List::Form::tuple) : items[0];
}

const Expression* ExpressionParser::postfix(const Expression* value) {
  for (;;) {
    if (stream_.at_op(".") || stream_.at_op("["))
      value = subscript(value);
    else if (stream_.at_op("(")) {
      int line = stream_.line();
      value = tree_.add<Call>(line, value, arguments());
    } else
      return value;
  }
}

const Expression* ExpressionParser::filtered(const Expression* value) {
  for (;;) {
    if (stream_.take_op("|"))
      value = filter(value);
    else if (stream_.take_name("is"))
      value = test(value);
    else if (stream_.at_op("(")) {
      int line = stream_.line();
      value = tree_.add<Call>(line, value, arguments());
    } else
      return value;
  }
}

const Filtered* ExpressionParser::filter(const Expression* of) {
  int line = stream_.line();
  std::string name = stream_.expect_any_name();
  while (stream_.take_op(".")) name += "." + stream_.expect_any_name();
  CallArguments given;
  if (stream_.at_op("(")) given = arguments();
  return tree_.add<Filtered>(line, of, std::move(name), std::move(given));
}

const Expression* ExpressionParser::test(const Expression* value) {
  int line = stream_.line();
  bool negated = stream_.take_name("not");
  std::string name = stream_.expect_any_name();
  while (stream_.take_op(".")) name += "." + stream_.expect_any_name();
  CallArguments given;
  bool word = stream_.at(Kind::name) && !stream_.at_name("else") && !stream_.at_name("or") && !stream_.at_name("and");
  if (stream_.at_name("is")) stream_.fail("tests cannot be chained with 'is'");
  if (stream_.at_op("("))
    given = arguments();
  else if ((word && !stream_.at_name("if")) || stream_.at(Kind::string) || stream_.at(Kind::integer) ||
           stream_.at(Kind::floating) || stream_.at_op("[") || stream_.at_op("{"))
    given.positional.push_back(postfix(primary()));
  const Expression* tested = tree_.add<Tested>(line, value, std::move(name), std::move(given));
  return negated ? tree_.add<Unary>(line, "not", tested) : tested;
}

const Expression* ExpressionParser::subscript(const Expression* of) {
  int line = stream_.line();
  if (stream_.take_op(".")) {
    if (stream_.at(Kind::name)) return tree_.add<Attribute>(line, of, stream_.next().text);
    if (!stream_.at(Kind::integer)) stream_.fail("a name is expected behind '.', here is ", stream_.shown());
    return tree_.add<Item>(line, of, number());
  }
  stream_.expect_op("[");
  const Expression* parts[3] = {};
  int colons = 0;
  while (!stream_.at_op("]")) {
    if (stream_.at_op(",")) stream_.fail("several subscripts are not supported");
    if (stream_.take_op(":")) {
      if (++colons > 2) stream_.fail("a slice has at most two ':'");
    } else if (parts[colons]) {
      stream_.fail("']' is expected, here is ", stream_.shown());
    } else {
      parts[colons] = expression();
    }
  }
  stream_.expect_op("]");
  if (colons > 0) return tree_.add<Slice>(line, of, parts[0], parts[1], parts[2]);
  if (!parts[0]) stream_.fail("a subscript is empty");
  return tree_.add<Item>(line, of, parts[0]);
}

CallArguments ExpressionParser::arguments() {
  CallArguments given;
  stream_.expect_op("(");
  while (!stream_.at_op(")")) {
    bool more = given.more_positional || given.more_named;
    if (stream_.take_op("**")) {
      if (given.more_named) stream_.fail("** stands twice in one call");
      given.more_named = expression();
    } else if (stream_.take_op("*")) {
      if (more) stream_.fail("* must stand once, before **");
      given.more_positional = expression();
    } else if (stream_.at(Kind::name) && stream_.ahead().kind == Kind::op && stream_.ahead().text == "=") {
      std::string name = stream_.next().text;
      stream_.next();
      given.named.emplace_back(name, expression());
    } else {
      if (more || !given.named.empty()) stream_.fail("an argument without a name stands behind one with a name");
      given.positional.push_back(expression());
    }
    if (!stream_.at_op(")")) stream_.expect_op(",");
  }
  stream_.expect_op(")");
  return given;
}

}  // namespace lathe::jinja
