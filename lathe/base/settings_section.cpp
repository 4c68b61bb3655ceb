#include "lathe/base/settings_section.h"

#include <cmath>
#include <limits>

#include "lathe/base/nearest.h"
#include "lathe/base/numbers.h"

namespace lathe {
namespace {

using Kind = SettingsValue::Kind;

std::string path_of(const SettingsGroup& group, std::string_view name) {
  return group.path.empty() ? std::string(name) : text(group.path, '.', name);
}

std::optional<int64_t> integer_of(const SettingsValue& value) {
  if (value.kind == Kind::integer) return value.integer;
  if (value.kind == Kind::string && !value.typed.empty()) return try_parse_int(value.typed);
  bool whole =
      value.kind == Kind::number && std::abs(value.number) <= 9e15 && std::nearbyint(value.number) == value.number;
  return whole ? std::optional(int64_t(value.number)) : std::nullopt;  // 1e6 steps
}

std::optional<double> number_of(const SettingsValue& value) {
  if (value.kind == Kind::integer) return double(value.integer);
  if (value.kind == Kind::string && !value.typed.empty()) return try_parse_float(value.typed);
  return value.kind == Kind::number && std::isfinite(value.number) ? std::optional(value.number) : std::nullopt;
}

/// After --set the text as typed counts, so that a text field takes `--set name=124`.
std::optional<std::string> string_of(const SettingsValue& value) {
  if (value.kind == Kind::string) return value.string;
  bool plain = value.kind == Kind::integer || value.kind == Kind::number || value.kind == Kind::boolean;
  return plain && !value.typed.empty() ? std::optional(value.typed) : std::nullopt;
}

/// Puts the items of `value` in `items`; false when it is no list of such items.
template <class T, class Convert>
bool convert_items(const SettingsValue& value, Convert convert, std::vector<T>& items) {
  if (value.kind != Kind::list) return false;
  std::vector<T> converted;
  for (const SettingsValue& item : value.items) {
    auto one = convert(item);
    if (!one) return false;
    converted.push_back(*one);
  }
  items = std::move(converted);
  return true;
}

}  // namespace

const SettingsValue* Section::value_of(SettingsEntry& entry) const {
  const SettingsValue* value = table_ ? table_->find(entry.name) : nullptr;
  if (!value) return nullptr;
  value->described = true;
  entry.where = value->where;
  return value;
}

SettingsEntry& Section::add(std::string_view name, std::string_view help, std::string type) {
  group_.entries.push_back(std::make_unique<SettingsEntry>());
  SettingsEntry& entry = *group_.entries.back();
  entry.name = name;
  entry.help = help;
  entry.type = std::move(type);
  return entry;
}

Section Section::inside(std::string_view name, std::string_view help, const SettingsValue* table, bool listed) {
  group_.groups.push_back(std::make_unique<SettingsGroup>());
  SettingsGroup& group = *group_.groups.back();
  group.name = name;
  group.help = help;
  group.path = path_of(group_, name);
  group.listed = listed;
  return Section(group, table, purpose_, problems_);
}

const SettingsValue* Section::table_of(std::string_view name) {
  const SettingsValue* value = table_ ? table_->find(name) : nullptr;
  if (!value) return nullptr;
  value->described = true;
  if (value->kind == Kind::table) return value;
  std::string path = path_of(group_, name);
  problems_.push_back(
      text(value->where, ": ", path, " is ", value->kind_name(), "; it must be a section, [", path, "]"));
  return nullptr;
}

std::optional<std::vector<const SettingsValue*>> Section::tables_of(std::string_view name) {
  const SettingsValue* value = table_ ? table_->find(name) : nullptr;
  if (!value) return std::nullopt;
  value->described = true;
  std::vector<const SettingsValue*> tables;
  bool right = value->kind == Kind::list;
  for (const SettingsValue& item : value->items) {
    right &= item.kind == Kind::table;
    tables.push_back(&item);
  }
  if (right) return tables;
  std::string path = path_of(group_, name);
  problems_.push_back(text(value->where, ": ", path, " must be a list of sections, [[", path, "]]"));
  return std::nullopt;
}

bool Section::given(std::string_view name) const { return table_ && table_->find(name); }

void Section::problem(SettingsEntry& entry, const std::string& message) {
  if (entry.wrong) return;
  entry.wrong = true;
  problems_.push_back(text(entry.where, ": ", path_of(group_, entry.name), " = ", entry.value, " ", message));
}

void Section::wrong_kind(SettingsEntry& entry, const std::string& wanted, const SettingsValue& found) {
  entry.wrong = true;
  std::string shown =
      found.kind == Kind::number && !std::isfinite(found.number) ? "not a finite number" : found.kind_name();
  if (found.kind == Kind::list && wanted.starts_with("a list")) shown = "a list of something else";
  problems_.push_back(
      text(entry.where, ": ", path_of(group_, entry.name), " must be ", wanted, ", here it is ", shown));
}

void Section::contradiction(const std::string& message) {
  if (purpose_ != Purpose::reading || problems_.size() > problems_before_) return;
  std::string place = table_ ? table_->where + ": " : "";
  problems_.push_back(text(place, group_.path.empty() ? "" : "[" + group_.path + "]: ", message));
}

void Section::finish() {
  std::vector<std::string> names;
  for (const auto& entry : group_.entries) names.push_back(entry->name);
  for (const auto& group : group_.groups) names.push_back(group->name);
  size_t unknown = 0;
  for (const SettingsValue& item : table_ ? table_->items : std::vector<SettingsValue>()) {
    if (item.described) continue;
    ++unknown;
    std::string place = group_.path.empty() ? "" : " in [" + group_.path + "]";
    const char* what = item.kind == Kind::table ? "section" : "field";
    problems_.push_back(
        text(item.where, ": unknown ", what, " '", item.name, "'", place, did_you_mean(item.name, names)));
  }
  // A required field that is missing beside an unknown one is most likely that one, misspelt.
  if (purpose_ != Purpose::reading || unknown) return;
  for (const auto& entry : group_.entries)
    if (entry->required && entry->where.empty())
      problems_.push_back(text(path_of(group_, entry->name), " is missing: ", entry->help));
}

void Section::read(SettingsEntry& entry, bool& value) {
  const SettingsValue* found = value_of(entry);
  if (!found) return;
  if (found->kind != Kind::boolean) return wrong_kind(entry, "true or false", *found);
  value = found->boolean;
}

void Section::read(SettingsEntry& entry, int64_t& value) {
  const SettingsValue* found = value_of(entry);
  if (!found) return;
  std::optional<int64_t> number = integer_of(*found);
  if (!number) return wrong_kind(entry, "a whole number", *found);
  value = *number;
}

void Section::read(SettingsEntry& entry, uint64_t& value) {
  int64_t number = int64_t(value);
  read(entry, number);
  if (entry.where.empty() || entry.wrong) return;
  entry.value = toml_text(number);
  if (number < 0) return problem(entry, "must not be negative");
  value = uint64_t(number);
}

void Section::read(SettingsEntry& entry, int& value) {
  int64_t number = value;
  read(entry, number);
  constexpr int64_t kLargest = std::numeric_limits<int>::max();
  entry.value = toml_text(number);
  if (number > kLargest || number < -kLargest) return problem(entry, text("must be at most ", kLargest));
  value = int(number);
}

void Section::read(SettingsEntry& entry, double& value) {
  const SettingsValue* found = value_of(entry);
  if (!found) return;
  std::optional<double> number = number_of(*found);
  if (!number) return wrong_kind(entry, "a number", *found);
  value = *number;
}

void Section::read(SettingsEntry& entry, float& value) {
  double number = value;
  read(entry, number);
  if (entry.where.empty() || entry.wrong) return;
  entry.value = toml_text(number);
  if (!std::isfinite(float(number))) return problem(entry, "is too large for this field");
  value = float(number);
}

void Section::read(SettingsEntry& entry, std::string& value) {
  const SettingsValue* found = value_of(entry);
  if (!found) return;
  std::optional<std::string> string = string_of(*found);
  if (!string) return wrong_kind(entry, "a text in quotes", *found);
  value = *string;
}

void Section::read(SettingsEntry& entry, std::vector<std::string>& value) {
  const SettingsValue* found = value_of(entry);
  if (found && !convert_items(*found, string_of, value)) wrong_kind(entry, "a list of texts", *found);
}

void Section::read(SettingsEntry& entry, std::vector<int64_t>& value) {
  const SettingsValue* found = value_of(entry);
  if (found && !convert_items(*found, integer_of, value)) wrong_kind(entry, "a list of whole numbers", *found);
}

void Section::read(SettingsEntry& entry, std::vector<double>& value) {
  const SettingsValue* found = value_of(entry);
  if (found && !convert_items(*found, number_of, value)) wrong_kind(entry, "a list of numbers", *found);
}

Field<int64_t> Section::bytes(std::string_view name, int64_t& value, std::string_view help) {
  SettingsEntry& entry = add(name, help, "bytes");
  const SettingsValue* found = value_of(entry);
  if (found && found->kind == Kind::string) {
    try {
      value = parse_bytes(found->string, path_of(group_, name));
    } catch (const Error& error) {
      entry.wrong = true;
      problems_.push_back(text(entry.where, ": ", error.what()));
    }
  } else {
    read(entry, value);
  }
  entry.value = toml_text(value);
  return Field<int64_t>(*this, entry, value);
}

}  // namespace lathe
