#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace lathe {

/// One value of a job file, with where it stands: what TOML gives, without its library.
struct SettingsValue {
  enum class Kind : uint8_t { boolean, integer, number, string, list, table, other };

  Kind kind = Kind::table;
  bool boolean = false;
  int64_t integer = 0;
  double number = 0;
  std::string string;
  std::vector<SettingsValue> items;  // of a list, or the named ones of a table

  std::string name;                // in its table
  std::string where;               // "job.toml:12" or "--set a.b=c"
  std::string typed;               // the text after "=" of a --set, which may stand for a text as well as for a number
  mutable bool described = false;  // a field or section of that name exists

  SettingsValue* find(std::string_view member);
  const SettingsValue* find(std::string_view member) const;
  /// "a whole number", "a list" ..., for messages.
  const char* kind_name() const;
};

/// Longest job text, in bytes; deeper or longer ones are no jobs.
constexpr int64_t kLargestJob = 256 << 10;

/// Reads TOML; `file` names it in messages. Throws Error with file and line where the text is no TOML.
SettingsValue parse_toml(const std::string& text, const std::string& file);

/// Applies "a.b=value" to `root`, making sections that are missing; a number picks an entry of a list
/// ("data.corpus.0.weight=2"). The value is TOML; what is no TOML is taken as text. Throws Error when the path leads
/// through a plain value.
void apply_override(SettingsValue& root, const std::string& assignment);

}  // namespace lathe
