#include "lathe/base/numbers.h"

#include <array>
#include <charconv>
#include <cmath>

#include "lathe/base/error.h"

namespace lathe {
namespace {

template <class Number>
std::optional<Number> try_parse(std::string_view text) {
  if (text.starts_with('+') && !text.starts_with("+-")) text.remove_prefix(1);
  Number value{};
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

template <class... Format>
std::string formatted(Format... format) {
  std::array<char, 400> digits;
  auto [end, error] = std::to_chars(digits.data(), digits.data() + digits.size(), format...);
  return error == std::errc() ? std::string(digits.data(), end) : std::string("?");
}

/// Plain digits where a reader expects them: to_chars alone would write 0.0003 as 3e-04.
std::chars_format notation_for(double value) {
  double size = std::abs(value);
  return size == 0 || (size >= 1e-4 && size < 1e15) ? std::chars_format::fixed : std::chars_format::scientific;
}

/// Bytes in a unit such as "KiB", or nullopt. A single letter means the power of 1024, as memory sizes are meant.
std::optional<double> bytes_in(std::string_view unit) {
  if (unit.empty() || unit == "B") return 1;
  constexpr std::string_view prefixes = "KMGTP";
  size_t power = prefixes.find(unit[0] == 'k' ? 'K' : unit[0]);
  if (power == std::string_view::npos) return std::nullopt;
  std::string_view rest = unit.substr(1);
  if (rest.empty() || rest == "iB" || rest == "i") return std::pow(1024.0, power + 1);
  if (rest == "B") return std::pow(1000.0, power + 1);
  return std::nullopt;
}

/// Three significant digits, as tables want them.
std::string three_digits(double value) {
  double size = std::abs(value);
  return format_fixed(value, size < 9.995 ? 2 : size < 99.95 ? 1 : 0);
}

}  // namespace

std::optional<int64_t> try_parse_int(std::string_view text) { return try_parse<int64_t>(text); }

std::optional<double> try_parse_float(std::string_view text) {
  std::optional<double> value = try_parse<double>(text);
  return value && std::isfinite(*value) ? value : std::nullopt;
}

int64_t parse_int(std::string_view text, std::string_view what) {
  std::optional<int64_t> value = try_parse_int(text);
  require(value.has_value(), what, ": '", text, "' is not a whole number");
  return *value;
}

double parse_float(std::string_view text, std::string_view what) {
  std::optional<double> value = try_parse_float(text);
  require(value.has_value(), what, ": '", text, "' is not a number");
  return *value;
}

int64_t parse_bytes(std::string_view text, std::string_view what) {
  size_t digits = std::min(text.find_first_not_of("0123456789."), text.size());
  std::string_view unit = text.substr(digits);
  while (unit.starts_with(' ')) unit.remove_prefix(1);
  std::optional<double> scale = bytes_in(unit);
  std::optional<double> value = try_parse_float(text.substr(0, digits));
  require(scale && value, what, ": '", text, "' is not a number of bytes, such as 8GiB, 1.5GiB, 500MB or 4096");
  if (std::optional<int64_t> exact = try_parse_int(text.substr(0, digits)); exact && *scale == 1) return *exact;
  require(*value * *scale < 9.2e18, what, ": ", text, " is more than any machine has");
  return int64_t(std::llround(*value * *scale));
}

std::string format_float(double value) { return formatted(value, notation_for(value)); }
std::string format_float(float value) { return formatted(value, notation_for(value)); }
std::string format_fixed(double value, int digits) { return formatted(value, std::chars_format::fixed, digits); }

std::string format_bytes(int64_t bytes) {
  constexpr const char* units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
  double value = double(bytes);
  int unit = 0;
  for (; std::abs(value) >= 1023.5 && unit < 5; ++unit) value /= 1024;
  if (unit == 0) return text(bytes, " B");
  return text(format_fixed(value, std::abs(value) < 99.95 ? 1 : 0), ' ', units[unit]);
}

std::string format_count(int64_t count) {
  std::string digits = formatted(count), grouped;
  size_t sign = count < 0;
  for (size_t i = 0; i < digits.size(); ++i) {
    if (i > sign && (digits.size() - i) % 3 == 0) grouped += ',';
    grouped += digits[i];
  }
  return grouped;
}

std::string format_short_count(double count) {
  constexpr const char* units[] = {"", "k", "M", "B", "T"};
  int unit = 0;
  for (; std::abs(count) >= 999.5 && unit < 4; ++unit) count /= 1000;
  if (unit == 0) return format_fixed(count, 0);
  return (std::abs(count) >= 100 ? format_fixed(count, 1) : three_digits(count)) + units[unit];
}

std::string format_duration(double seconds) {
  if (!std::isfinite(seconds)) return "?";
  if (seconds < 0) return "-" + format_duration(-seconds);
  if (seconds < 0.9995) return text(std::llround(seconds * 1000), " ms");
  if (seconds < 59.95) return format_fixed(seconds, 1) + " s";
  auto two = [](int64_t value) { return text(value < 10 ? "0" : "", value); };
  int64_t whole = std::llround(seconds);
  if (whole < 3600) return text(whole / 60, 'm', two(whole % 60), 's');
  if (whole < 86400) return text(whole / 3600, 'h', two(whole % 3600 / 60), 'm');
  return text(whole / 86400, 'd', two(whole % 86400 / 3600), 'h');
}

}  // namespace lathe
