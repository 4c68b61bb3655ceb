#pragma once

#include "lathe/tokenize/jinja_run.h"

namespace lathe::jinja {

/// Appends str(value): what {{ value }} writes.
void append_printed(MarkedText& out, const Value& value, Run& run);
MarkedText printed(const Value& value, Run& run);
/// Appends repr(value): how a value is shown inside a printed list.
void append_repr(MarkedText& out, const Value& value, Run& run);
/// repr() of a float.
std::string float_text(double number);

/// How json.dumps() writes; as transformers' `tojson` sets it up.
struct JsonStyle {
  bool ascii = false;                ///< other characters as \uXXXX
  std::optional<MarkedText> indent;  ///< a line an item, with so much before it a level
  MarkedText comma = MarkedText::unmarked(", "), colon = MarkedText::unmarked(": ");
  bool sorted = false;
};
void append_json(MarkedText& out, const Value& value, const JsonStyle& style, Run& run);

/// `text` with & < > ' " as HTML writes them.
MarkedText html_escaped(const MarkedText& text, Run& run);

}  // namespace lathe::jinja
