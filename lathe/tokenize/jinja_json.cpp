#include <algorithm>
#include <cmath>

#include "lathe/base/utf8.h"
#include "lathe/tokenize/jinja_operators.h"
#include "lathe/tokenize/jinja_print.h"

namespace lathe::jinja {
namespace {

std::string unit_escape(uint32_t unit) {
  constexpr char kHex[] = "0123456789abcdef";
  std::string out = "\\u";
  for (int shift = 12; shift >= 0; shift -= 4) out += kHex[unit >> shift & 15];
  return out;
}

std::string json_escape(char32_t c) {
  constexpr std::string_view kFrom = "\"\\\n\r\t\f\b", kTo = "\"\\nrtfb";
  size_t known = c < 0x80 ? kFrom.find(char(c)) : std::string_view::npos;
  if (known != std::string_view::npos) return {'\\', kTo[known]};
  if (c < 0x10000) return unit_escape(c);
  return unit_escape(0xD800 + ((c - 0x10000) >> 10)) + unit_escape(0xDC00 + ((c - 0x10000) & 0x3FF));
}

void append_json_text(MarkedText& out, const MarkedText& text, bool ascii, Run& run) {
  run.charge(int64_t(text.size()));
  const std::string& bytes = text.bytes();
  out.append_unmarked("\"");
  size_t from = 0;
  for (size_t i = 0; i < bytes.size();) {
    CodePoint c = code_point_at(bytes, i);
    if (c.value < 0x20 || c.value == '"' || c.value == '\\' || (ascii && c.value > 0x7E)) {
      out.append_part(text, from, i);
      out.append_like(json_escape(c.value), text, i);
      from = i + c.bytes;
    }
    i += c.bytes;
  }
  out.append_part(text, from, bytes.size());
  out.append_unmarked("\"");
}

/// A value that is neither text nor list nor dict.
std::string json_scalar(const Value& value, Run& run) {
  if (value.is_none()) return "null";
  if (value.is_bool()) return value.truthy() ? "true" : "false";
  if (value.is_float()) {
    double number = value.number();
    if (std::isnan(number)) return "NaN";
    return std::isinf(number) ? (number < 0 ? "-Infinity" : "Infinity") : float_text(number);
  }
  if (auto whole = value.integer()) return std::to_string(*whole);
  if (value.undefined()) run.fail("tojson: ", value.undefined()->why);
  run.fail("tojson: a ", value.type(), " cannot be written as JSON", value.list() ? "; put |list before it" : "");
}

class Writer {
 public:
  Writer(MarkedText& out, const JsonStyle& style, Run& run) : out_(out), style_(style), run_(run) {}

  void write(const Value& value) {
    Run::Nested nested(run_);
    run_.charge(8);
    bool list = value.is(List::Form::list) || value.is(List::Form::tuple);
    if (value.text())
      append_json_text(out_, value.text()->text, style_.ascii, run_);
    else if (list)
      write_all(value.list()->items, "[", "]", [&](const Value& item) { write(item); });
    else if (value.dict())
      write_all(sorted(value.dict()->items), "{", "}", [&](const auto& item) { write_item(item); });
    else
      out_.append_unmarked(json_scalar(value, run_));
  }

 private:
  MarkedText& out_;
  const JsonStyle& style_;
  Run& run_;
  int level_ = 0;

  using Items = std::vector<std::pair<Value, Value>>;
  Items sorted(Items items) {
    run_.work(int64_t(items.size()));
    if (style_.sorted)
      std::stable_sort(items.begin(), items.end(),
                       [&](const auto& a, const auto& b) { return less(a.first, b.first, run_); });
    return items;
  }

  void write_item(const std::pair<Value, Value>& item) {
    if (item.first.text())
      append_json_text(out_, item.first.text()->text, style_.ascii, run_);
    else
      out_.append_unmarked("\"" + json_scalar(item.first, run_) + "\"");
    out_.append(style_.colon);
    write(item.second);
  }

  template <class Items, class Write>
  void write_all(const Items& items, std::string_view open, std::string_view close, Write write_one) {
    out_.append_unmarked(open);
    ++level_;
    bool first = true;
    for (const auto& item : items) {
      if (!first) out_.append(style_.comma);
      first = false;
      new_line();
      write_one(item);
    }
    --level_;
    if (!items.empty()) new_line();
    out_.append_unmarked(close);
  }

  void new_line() {
    if (!style_.indent) return;
    out_.append_unmarked("\n");
    run_.charge(int64_t(style_.indent->size()) * level_);
    for (int i = 0; i < level_; ++i) out_.append(*style_.indent);
  }
};

}  // namespace

void append_json(MarkedText& out, const Value& value, const JsonStyle& style, Run& run) {
  Writer(out, style, run).write(value);
}

}  // namespace lathe::jinja
