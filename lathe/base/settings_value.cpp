#include "lathe/base/settings_value.h"

#include <toml++/toml.h>

#include <algorithm>
#include <optional>

#include "lathe/base/error.h"
#include "lathe/base/numbers.h"
#include "lathe/base/utf8.h"

namespace lathe {
namespace {

using Kind = SettingsValue::Kind;

constexpr int kDeepest = 32;  ///< parts of a name, tables and lists in each other

SettingsValue converted(const toml::node& node, const std::string& file, int depth = 0) {
  SettingsValue value;
  value.where = text(file, ':', node.source().begin.line);
  require(depth <= kDeepest, value.where, ": tables and lists more than ", kDeepest, " deep in each other");
  value.kind = Kind::other;
  if (const auto* table = node.as_table()) {
    value.kind = Kind::table;
    for (const auto& [key, member] : *table) {
      value.items.push_back(converted(member, file, depth + 1));
      value.items.back().name = key.str();
    }
  } else if (const auto* array = node.as_array()) {
    value.kind = Kind::list;
    for (const toml::node& item : *array) value.items.push_back(converted(item, file, depth + 1));
  } else if (const auto* boolean = node.as_boolean()) {
    value.kind = Kind::boolean;
    value.boolean = boolean->get();
  } else if (const auto* integer = node.as_integer()) {
    value.kind = Kind::integer;
    value.integer = integer->get();
  } else if (const auto* number = node.as_floating_point()) {
    value.kind = Kind::number;
    value.number = number->get();
  } else if (const auto* string = node.as_string()) {
    value.kind = Kind::string;
    value.string = string->get();
  }
  return value;
}

/// Dotted keys nest without the parser's own limit, and every level costs stack when the tree is destroyed.
void refuse_deep_keys(const std::string& toml, const std::string& file) {
  int line = 1, dots = 0;
  for (char c : toml) {
    bool key = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
    if (c == '.') ++dots;
    if (!key && c != '.' && c != ' ' && c != '\t' && c != '"' && c != '\'') dots = 0;
    require(dots <= kDeepest, file, ':', line, ": a name of more than ", kDeepest, " parts");
    if (c == '\n') ++line;
  }
}

void mark(SettingsValue& value, const std::string& where) {
  value.where = where;
  for (SettingsValue& item : value.items) mark(item, where);
}

SettingsValue typed_value(const std::string& typed, const std::string& where) {
  SettingsValue value;
  try {
    value = parse_toml("value = " + typed, where);
    value = value.items.size() == 1 ? SettingsValue(value.items[0]) : SettingsValue{.kind = Kind::other};
  } catch (const Error&) {
    value = {.kind = Kind::other};
  }
  if (value.kind == Kind::other) value = {.kind = Kind::string, .string = typed};
  mark(value, where);
  value.typed = typed;
  return value;
}

/// The part of `value` that `part` names; of a table it is made when missing.
SettingsValue& step_into(SettingsValue& value, const std::string& part, const std::string& where) {
  if (value.kind == Kind::list) {
    std::optional<int64_t> index = try_parse_int(part);
    require(index && *index >= 0 && *index < int64_t(value.items.size()), where, ": '", part,
            "' is not an entry of that list, which has ", value.items.size(), ", counted from 0");
    return value.items[size_t(*index)];
  }
  require(value.kind == Kind::table, where, ": '", part, "' lies under ", value.kind_name(), ", not a section");
  if (SettingsValue* found = value.find(part)) return *found;
  value.items.push_back({.name = part, .where = where});
  return value.items.back();
}

}  // namespace

SettingsValue* SettingsValue::find(std::string_view member) {
  auto found = std::find_if(items.begin(), items.end(), [&](const SettingsValue& item) { return item.name == member; });
  return kind == Kind::table && found != items.end() ? &*found : nullptr;
}

const SettingsValue* SettingsValue::find(std::string_view member) const {
  return const_cast<SettingsValue*>(this)->find(member);
}

const char* SettingsValue::kind_name() const {
  constexpr const char* names[] = {"true or false", "a whole number", "a number",      "a text",
                                   "a list",        "a section",      "a date or time"};
  return names[size_t(kind)];
}

SettingsValue parse_toml(const std::string& toml, const std::string& file) {
  require(int64_t(toml.size()) <= kLargestJob, file, ": ", toml.size(), " bytes are too long for a job, at most ",
          kLargestJob);
  require(valid_utf8(toml), file, ": not UTF-8 at byte ", first_invalid_utf8(toml));
  refuse_deep_keys(toml, file);
  try {
    SettingsValue root = converted(toml::parse(toml, file), file);
    root.where = file;
    return root;
  } catch (const toml::parse_error& error) {
    throw Error(text(file, ':', error.source().begin.line, ": ", error.description()));
  }
}

void apply_override(SettingsValue& root, const std::string& assignment) {
  std::string where = "--set " + assignment;
  size_t equals = assignment.find('=');
  require(equals != std::string::npos && equals > 0, where, ": give it as section.field=value");
  require(valid_utf8(assignment) && assignment.size() < 65536, "--set: not UTF-8, or longer than 64 KiB");
  SettingsValue* value = &root;
  std::string path = assignment.substr(0, equals) + '.';
  require(std::count(path.begin(), path.end(), '.') <= 32, where, ": a name of more than 32 parts");
  for (size_t begin = 0, end; (end = path.find('.', begin)) != std::string::npos; begin = end + 1) {
    require(end > begin, where, ": give it as section.field=value");
    value = &step_into(*value, path.substr(begin, end - begin), where);
  }
  std::string name = value->name;
  *value = typed_value(assignment.substr(equals + 1), where);
  value->name = name;
}

}  // namespace lathe
