#include <algorithm>
#include <charconv>
#include <cmath>

#include "lathe/base/utf8.h"
#include "lathe/tokenize/characters.h"
#include "lathe/tokenize/jinja_characters.h"
#include "lathe/tokenize/jinja_filters.h"
#include "lathe/tokenize/jinja_methods.h"
#include "lathe/tokenize/jinja_operators.h"
#include "lathe/tokenize/jinja_print.h"

namespace lathe::jinja {
namespace {

Value string(const Value& value, const Arguments& arguments, Run& run) {
  Bound bound("string", arguments, {}, run);
  return value.text() ? value : run.text(printed(value, run));
}

Value safe(const Value& value, const Arguments& arguments, Run& run) {
  Bound bound("safe", arguments, {}, run);
  return run.text(printed(value, run), true);
}

Value escape(const Value& value, const Arguments& arguments, Run& run) {
  Bound bound("escape", arguments, {}, run);
  if (value.text() && value.text()->markup) return value;
  return run.text(html_escaped(printed(value, run), run), true);
}

Value trim(const Value& value, const Arguments& arguments, Run& run) {
  Bound bound("trim", arguments, {"chars"}, run);
  bool markup = value.text() && value.text()->markup;
  return run.text(stripped(printed(value, run), bound.value(0, Value()), true, true, run), markup);
}

Value upper(const Value& value, const Arguments& arguments, Run& run) {
  Bound bound("upper", arguments, {}, run);
  return run.text(in_upper_case(printed(value, run), run));
}

Value lower(const Value& value, const Arguments& arguments, Run& run) {
  Bound bound("lower", arguments, {}, run);
  return run.text(in_lower_case(printed(value, run), run));
}

Value capitalize(const Value& value, const Arguments& arguments, Run& run) {
  Bound bound("capitalize", arguments, {}, run);
  return run.text(capitalized(printed(value, run), run));
}

/// A letter behind whitespace, a hyphen or an opening bracket is a word's first.
Value title(const Value& value, const Arguments& arguments, Run& run) {
  Bound bound("title", arguments, {}, run);
  MarkedText text = printed(value, run), out;
  bool first = true;
  for (size_t i = 0; i < text.size();) {
    size_t end = i + character_bytes(text.bytes(), i);
    MarkedText letter = text.part(i, end);
    char32_t c = code_point_at(text.bytes(), i).value;
    out.append(first ? in_upper_case(letter, run) : in_lower_case(letter, run));
    first = is_space(c) || (c < 0x80 && std::string_view("-({[<").find(char(c)) != std::string_view::npos);
    i = end;
  }
  return run.text(std::move(out));
}

Value replace(const Value& value, const Arguments& arguments, Run& run) {
  Bound bound("replace", arguments, {"old", "new", "count"}, run);
  int64_t most = bound.value(2, Value()).is_none() ? -1 : bound.integer(2);
  return run.text(replaced(printed(value, run), printed(bound.value(0), run), printed(bound.value(1), run), most, run));
}

Value indent(const Value& value, const Arguments& arguments, Run& run) {
  Bound bound("indent", arguments, {"width", "first", "blank"}, run);
  Value width = bound.value(0, int64_t{4});
  MarkedText before;
  if (width.text()) {
    before = width.text()->text;
  } else {
    int64_t spaces = std::max<int64_t>(bound.integer(0, 4), 0);
    run.charge(spaces);
    before.append_unmarked(std::string(size_t(spaces), ' '));
  }
  MarkedText text = printed(value, run), out;
  text.append_unmarked("\n");  // as Jinja does, so that a last line end stays
  bool first = true;
  for (const Value& line : lines_of(text, false, run)) {
    const MarkedText& content = line.text()->text;
    bool indented = first ? bound.flag(1, false) : !content.empty() || bound.flag(2, false);
    run.charge(int64_t(before.size() + content.size()) + 1);
    if (!first) out.append_unmarked("\n");
    if (indented) out.append(before);
    out.append(content);
    first = false;
  }
  return run.text(std::move(out));
}

Value tojson(const Value& value, const Arguments& arguments, Run& run) {
  Bound bound("tojson", arguments, {"ensure_ascii", "indent", "separators", "sort_keys"}, run);
  JsonStyle style{.ascii = bound.flag(0, false), .sorted = bound.flag(3, false)};
  Value indent = bound.value(1, Value());
  if (indent.text()) style.indent = indent.text()->text;
  if (auto spaces = indent.integer()) {
    run.charge(std::max<int64_t>(*spaces, 0));
    style.indent = MarkedText::unmarked(std::string(size_t(std::max<int64_t>(*spaces, 0)), ' '));
  }
  if (style.indent) style.comma = MarkedText::unmarked(",");
  if (Value separators = bound.value(2, Value()); !separators.is_none()) {
    std::vector<Value> both = iterated(separators, run);
    if (both.size() != 2 || !both[0].text() || !both[1].text()) run.fail("tojson: separators must be two texts");
    style.comma = both[0].text()->text, style.colon = both[1].text()->text;
  }
  MarkedText out;
  append_json(out, value, style, run);
  return run.text(std::move(out));
}

Value wordcount(const Value& value, const Arguments& arguments, Run& run) {
  Bound bound("wordcount", arguments, {}, run);
  MarkedText text = printed(value, run);
  int64_t words = 0;
  bool inside = false;
  for (CodePoint c : CodePoints(text.bytes())) {
    bool word = tokenize::class_of(c.value) & tokenize::kWord;
    words += word && !inside;
    inside = word;
  }
  return words;
}

Value truncate(const Value& value, const Arguments& arguments, Run& run) {
  Bound bound("truncate", arguments, {"length", "killwords", "end", "leeway"}, run);
  MarkedText text = printed(value, run);
  MarkedText end = bound.has(2) ? bound.text(2) : MarkedText::unmarked("...");
  int64_t length = bound.integer(0, 255), leeway = bound.integer(3, 5), end_length = character_count(end.bytes());
  if (length < end_length || leeway < 0) run.fail("truncate: the length ", length, " has no room for the end");
  if (character_count(text.bytes()) <= length || character_count(text.bytes()) - length <= leeway)
    return run.text(std::move(text));
  MarkedText cut = text.part(0, character_offset(text.bytes(), length - end_length));
  size_t space = cut.bytes().rfind(' ');
  if (!bound.flag(1, false) && space != std::string::npos) cut = cut.part(0, space);
  cut.append(end);
  return run.text(std::move(cut));
}

Value center(const Value& value, const Arguments& arguments, Run& run) {
  Bound bound("center", arguments, {"width"}, run);
  MarkedText text = printed(value, run), out;
  int64_t width = std::max<int64_t>(bound.integer(0, 80), 0), missing = width - character_count(text.bytes());
  if (missing <= 0) return run.text(std::move(text));
  run.charge(missing);
  int64_t left = missing / 2 + (missing & width & 1);
  out.append_unmarked(std::string(size_t(left), ' '));
  out.append(text);
  out.append_unmarked(std::string(size_t(missing - left), ' '));
  return run.text(std::move(out));
}

[[noreturn]] void too_large(Run& run) { run.fail("int: the number has more than 64 bits, which is not supported"); }

/// A number as Python's float() reads it.
std::optional<double> float_of(std::string_view written) {
  written = trimmed_back(trimmed_front(written));
  if (written.starts_with('+')) written.remove_prefix(1);
  if (written.empty() || written.find_first_of("xX(") != std::string_view::npos || written.starts_with('+'))
    return std::nullopt;
  double number = 0;
  auto [end, error] = std::from_chars(written.data(), written.data() + written.size(), number);
  if (error == std::errc::invalid_argument || end != written.data() + written.size()) return std::nullopt;
  if (error == std::errc::result_out_of_range) number = std::strtod(std::string(written).c_str(), nullptr);
  return number;
}

std::optional<int64_t> integer_of(std::string_view written, int base, Run& run) {
  written = trimmed_back(trimmed_front(written));
  bool minus = written.starts_with('-');
  if (minus || written.starts_with('+')) written.remove_prefix(1);
  std::string digits;
  if (base == 16 && (written.starts_with("0x") || written.starts_with("0X"))) written.remove_prefix(2);
  for (size_t i = 0; i < written.size(); ++i) {
    bool between = written[i] == '_' && i > 0 && i + 1 < written.size() && written[i - 1] != '_';
    if (!between) digits += written[i];
  }
  int64_t number = 0;
  auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number, base);
  if (error == std::errc::result_out_of_range && end == digits.data() + digits.size()) too_large(run);
  if (digits.empty() || digits[0] == '-' || error != std::errc() || end != digits.data() + digits.size())
    return std::nullopt;
  return minus ? -number : number;
}

int64_t whole_part(double number, Run& run) {
  if (!(std::abs(number) < 9.2e18)) too_large(run);
  return int64_t(number);
}

Value to_int(const Value& value, const Arguments& arguments, Run& run) {
  Bound bound("int", arguments, {"default", "base"}, run);
  Value fallback = bound.value(0, int64_t{0});
  int64_t base = bound.integer(1, 10);
  if (base < 2 || base > 36) run.fail("int: base ", base, " is not supported");
  if (auto whole = value.integer()) return *whole;
  std::optional<int64_t> number;
  if (value.is_float()) number = whole_part(value.number(), run);
  if (value.text()) {
    run.work_on(value.text()->text.size());
    number = integer_of(value.text()->text.bytes(), int(base), run);
    auto floating = float_of(value.text()->text.bytes());
    if (!number && floating) number = whole_part(*floating, run);
  }
  return number ? Value(*number) : fallback;
}

Value to_float(const Value& value, const Arguments& arguments, Run& run) {
  Bound bound("float", arguments, {"default"}, run);
  if (value.is_number()) return value.number();
  if (value.undefined()) run.fail(value.undefined()->why);
  if (value.text()) {
    run.work_on(value.text()->text.size());
    if (auto number = float_of(value.text()->text.bytes())) return *number;
  }
  return bound.value(0, 0.0);
}

Value absolute(const Value& value, const Arguments& arguments, Run& run) {
  Bound bound("abs", arguments, {}, run);
  if (value.undefined()) run.fail(value.undefined()->why);
  if (!value.is_number()) run.fail("abs: a ", value.type(), " is no number");
  if (value.is_float()) return std::abs(value.number());
  return *value.integer() < 0 ? negated(value, run) : Value(*value.integer());
}

Value round(const Value& value, const Arguments& arguments, Run& run) {
  Bound bound("round", arguments, {"precision", "method"}, run);
  std::string method = bound.has(1) ? bound.text(1).bytes() : "common";
  int64_t precision = bound.integer(0, 0);
  if (value.undefined()) run.fail(value.undefined()->why);
  if (!value.is_number()) run.fail("round: a ", value.type(), " is no number");
  if (method != "common" && method != "ceil" && method != "floor") run.fail("round: there is no method '", method, "'");
  if (precision < -300 || precision > 300) run.fail("round: precision ", precision, " is not supported");
  double scale = std::pow(10.0, double(precision)), number = value.number();
  if (method == "ceil") return std::ceil(number * scale) / scale;
  if (method == "floor") return std::floor(number * scale) / scale;
  if (precision < 0) return std::nearbyint(number * scale) / scale;
  char digits[700];  // of the exact decimal number, halves to even, as Python rounds
  auto end = std::to_chars(digits, digits + sizeof digits, number, std::chars_format::fixed, int(precision)).ptr;
  double rounded = number;
  if (std::isfinite(number)) std::from_chars(digits, end, rounded);
  return value.is_float() ? Value(rounded) : Value(*value.integer());
}

}  // namespace

const Filters& text_filters() {
  static const Filters filters = {{"string", string},
                                  {"safe", safe},
                                  {"escape", escape},
                                  {"e", escape},
                                  {"trim", trim},
                                  {"upper", upper},
                                  {"lower", lower},
                                  {"title", title},
                                  {"capitalize", capitalize},
                                  {"replace", replace},
                                  {"indent", indent},
                                  {"tojson", tojson},
                                  {"wordcount", wordcount},
                                  {"truncate", truncate},
                                  {"center", center},
                                  {"int", to_int},
                                  {"float", to_float},
                                  {"abs", absolute},
                                  {"round", round}};
  return filters;
}

}  // namespace lathe::jinja
