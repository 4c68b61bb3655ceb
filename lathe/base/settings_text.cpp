#include <algorithm>

#include "lathe/base/numbers.h"
#include "lathe/base/settings_section.h"
#include "lathe/base/utf8.h"

namespace lathe {
namespace {

template <class Number>
std::string number_text(Number value) {
  std::string digits = format_float(value);
  bool whole = std::all_of(digits.begin(), digits.end(), [](char c) { return c == '-' || (c >= '0' && c <= '9'); });
  return whole ? digits + ".0" : digits;
}

template <class T>
std::string list_text(const std::vector<T>& values) {
  std::string list;
  for (const T& value : values) list += (list.empty() ? "[" : ", ") + toml_text(value);
  return list.empty() ? "[]" : list + "]";
}

}  // namespace

std::string toml_text(bool value) { return value ? "true" : "false"; }
std::string toml_text(int value) { return std::to_string(value); }
std::string toml_text(int64_t value) { return std::to_string(value); }
std::string toml_text(uint64_t value) { return std::to_string(value); }
std::string toml_text(float value) { return number_text(value); }
std::string toml_text(double value) { return number_text(value); }
std::string toml_text(const std::vector<std::string>& value) { return list_text(value); }
std::string toml_text(const std::vector<int64_t>& value) { return list_text(value); }
std::string toml_text(const std::vector<double>& value) { return list_text(value); }

std::string toml_text(const std::string& value) {
  if (!valid_utf8(value)) throw Error("a text of the job is not UTF-8: " + lossy_utf8(value));
  std::string quoted = "\"";
  for (char c : value) {
    if (c == '"' || c == '\\') {
      quoted += {'\\', c};
    } else if (c == '\n') {
      quoted += "\\n";
    } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      constexpr const char* digits = "0123456789ABCDEF";
      quoted += {'\\', 'u', '0', '0', digits[c >> 4 & 15], digits[c & 15]};
    } else {
      quoted += c;
    }
  }
  return quoted + '"';
}

std::string one_of_text(const std::vector<std::string>& allowed) {
  std::string joined;
  for (const std::string& name : allowed) joined += (joined.empty() ? "" : ", ") + name;
  return joined;
}

}  // namespace lathe
