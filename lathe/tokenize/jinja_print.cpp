#include "lathe/tokenize/jinja_print.h"

#include <charconv>
#include <cmath>

#include "lathe/base/utf8.h"
#include "lathe/tokenize/jinja_characters.h"

namespace lathe::jinja {
namespace {

constexpr char kHex[] = "0123456789abcdef";

std::string hex_escape(char letter, uint32_t value, int digits) {
  std::string out = {'\\', letter};
  for (int shift = 4 * (digits - 1); shift >= 0; shift -= 4) out += kHex[value >> shift & 15];
  return out;
}

std::string repr_of(char32_t c) {
  if (c == '\n') return "\\n";
  if (c == '\r') return "\\r";
  if (c == '\t') return "\\t";
  if (c == '\\') return "\\\\";
  if (c < 0x100) return hex_escape('x', c, 2);
  return c < 0x10000 ? hex_escape('u', c, 4) : hex_escape('U', c, 8);
}

void append_text_repr(MarkedText& out, const MarkedText& text, Run& run) {
  run.charge(int64_t(text.size()));
  const std::string& bytes = text.bytes();
  bool doubled = bytes.find('\'') != std::string::npos && bytes.find('"') == std::string::npos;
  std::string_view quote = doubled ? "\"" : "'";
  out.append_unmarked(quote);
  for (size_t i = 0; i < bytes.size();) {
    CodePoint c = code_point_at(bytes, i);
    bool is_quote = c.value == char32_t(quote[0]);
    if (is_quote)
      out.append_like("\\'", text, i);
    else if (c.value == '\\' || !is_printable(c.value))
      out.append_like(repr_of(c.value), text, i);
    else
      out.append_part(text, i, i + c.bytes);
    i += c.bytes;
  }
  out.append_unmarked(quote);
}

void append_items(MarkedText& out, const std::vector<Value>& items, Run& run) {
  for (size_t i = 0; i < items.size(); ++i) {
    if (i > 0) out.append_unmarked(", ");
    append_repr(out, items[i], run);
  }
}

void append_list_repr(MarkedText& out, const List& list, Run& run) {
  using Form = List::Form;
  if (list.form != Form::list && list.form != Form::tuple)
    run.fail("printing a ", Value(&list).type(), " is not supported; put |list behind it");
  bool tuple = list.form == Form::tuple;
  out.append_unmarked(tuple ? "(" : "[");
  append_items(out, list.items, run);
  if (tuple && list.items.size() == 1) out.append_unmarked(",");
  out.append_unmarked(tuple ? ")" : "]");
}

void append_dict_repr(MarkedText& out, const Dict& dict, Run& run) {
  out.append_unmarked("{");
  bool first = true;
  for (const auto& [key, value] : dict.items) {
    if (!first) out.append_unmarked(", ");
    first = false;
    append_repr(out, key, run);
    out.append_unmarked(": ");
    append_repr(out, value, run);
  }
  out.append_unmarked("}");
}

}  // namespace

std::string float_text(double number) {
  if (std::isnan(number)) return "nan";
  if (std::isinf(number)) return number < 0 ? "-inf" : "inf";
  char shortest[64];
  auto end = std::to_chars(shortest, shortest + sizeof shortest, number, std::chars_format::scientific).ptr;
  std::string written(shortest, end);
  int exponent = std::atoi(written.c_str() + written.find('e') + 1);
  if (exponent < -4 || exponent >= 16) return written;
  std::string fixed(shortest,
                    std::to_chars(shortest, shortest + sizeof shortest, number, std::chars_format::fixed).ptr);
  return fixed.find('.') == std::string::npos ? fixed + ".0" : fixed;
}

MarkedText printed(const Value& value, Run& run) {
  MarkedText out;
  append_printed(out, value, run);
  return out;
}

void append_printed(MarkedText& out, const Value& value, Run& run) {
  if (value.undefined()) return;
  if (!value.text()) return append_repr(out, value, run);
  run.charge(int64_t(value.text()->text.size()));
  out.append(value.text()->text);
}

void append_repr(MarkedText& out, const Value& value, Run& run) {
  Run::Nested nested(run);
  run.charge(8);
  if (value.is_none()) return out.append_unmarked("None");
  if (value.is_bool()) return out.append_unmarked(value.truthy() ? "True" : "False");
  if (value.is_float()) return out.append_unmarked(float_text(value.number()));
  if (value.undefined()) return out.append_unmarked("Undefined");
  if (value.list()) return append_list_repr(out, *value.list(), run);
  if (value.dict()) return append_dict_repr(out, *value.dict(), run);
  if (value.object()) run.fail("printing a ", value.type(), " is not supported");
  if (!value.text()) return out.append_unmarked(std::to_string(*value.integer()));
  if (value.text()->markup) out.append_unmarked("Markup(");
  append_text_repr(out, value.text()->text, run);
  if (value.text()->markup) out.append_unmarked(")");
}

MarkedText html_escaped(const MarkedText& text, Run& run) {
  constexpr std::string_view kFrom = "&<>'\"";
  constexpr std::string_view kTo[] = {"&amp;", "&lt;", "&gt;", "&#39;", "&#34;"};
  run.charge(int64_t(text.size()));
  MarkedText out;
  size_t from = 0;
  for (size_t at; (at = text.bytes().find_first_of(kFrom, from)) != std::string::npos; from = at + 1) {
    out.append_part(text, from, at);
    out.append_like(kTo[kFrom.find(text.bytes()[at])], text, at);
  }
  out.append_part(text, from, text.size());
  return out;
}

}  // namespace lathe::jinja
