#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace lathe {

/// Numbers to and from text, the same under every locale. `parse_…` take the whole text, no spaces, and throw Error
/// quoting it; `what` names the value for the message ("--seed"). `try_parse_…` say nullopt instead.
std::optional<int64_t> try_parse_int(std::string_view text);
std::optional<double> try_parse_float(std::string_view text);  // finite, "1e-4" and "3" too; not "nan", "inf"
int64_t parse_int(std::string_view text, std::string_view what);
double parse_float(std::string_view text, std::string_view what);

/// Bytes with a unit: "512", "64KiB", "1.5 GiB", "8GB" (powers of 1000), "8G" (as GiB). Not negative.
int64_t parse_bytes(std::string_view text, std::string_view what);

/// The shortest decimal that parses back to the same value: "0.0003", "1e-05", "3".
std::string format_float(double value);
std::string format_float(float value);
/// `digits` after the point: (2.5, 2) is "2.50".
std::string format_fixed(double value, int digits);

std::string format_bytes(int64_t bytes);       // "512 B", "1.5 GiB"
std::string format_count(int64_t count);       // "1,234,567"
std::string format_short_count(double count);  // "999", "12.3k", "124.4M", "1.10B", "1.00T"
std::string format_duration(double seconds);   // "850 ms", "12.3 s", "4m05s", "1h02m", "2d03h"

}  // namespace lathe
