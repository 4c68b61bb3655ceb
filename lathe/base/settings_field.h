#pragma once

#include "lathe/base/settings_section.h"

namespace lathe {

/// A value as TOML writes it; a number type always keeps its point or exponent.
std::string toml_text(bool value);
std::string toml_text(int value);
std::string toml_text(int64_t value);
std::string toml_text(uint64_t value);
std::string toml_text(float value);
std::string toml_text(double value);
std::string toml_text(const std::string& value);
std::string toml_text(const std::vector<std::string>& value);
std::string toml_text(const std::vector<int64_t>& value);
std::string toml_text(const std::vector<double>& value);
template <class T>
std::string toml_text(const std::optional<T>& value) {
  return value ? toml_text(*value) : std::string();
}

/// What a field of type T holds, for listings: "whole number", "list of text".
template <class T>
struct SettingsType;

template <class T>
class Field {
 public:
  using Item = typename SettingsType<T>::Item;
  using Bound = std::conditional_t<std::is_arithmetic_v<Item>, Item, std::string>;

  Field(Section& section, SettingsEntry& entry, const T& value) : section_(section), entry_(entry), value_(value) {}

  Field& at_least(Bound low) {
    return limit("at least " + toml_text(low), [low](const Item& x) { return x >= low; });
  }
  Field& at_most(Bound high) {
    return limit("at most " + toml_text(high), [high](const Item& x) { return x <= high; });
  }
  Field& above(Bound low) {
    return limit("above " + toml_text(low), [low](const Item& x) { return x > low; });
  }
  Field& below(Bound high) {
    return limit("below " + toml_text(high), [high](const Item& x) { return x < high; });
  }
  Field& between(Bound low, Bound high) {
    return limit("between " + toml_text(low) + " and " + toml_text(high),
                 [=](const Item& x) { return x >= low && x <= high; });
  }
  Field& one_of(const std::vector<Item>& allowed);
  /// A text or list that must hold something.
  Field& not_empty() {
    add_limit("not empty", value_.empty());
    return *this;
  }
  /// The job must give it.
  Field& required() {
    entry_.required = true;
    return *this;
  }

 private:
  template <class Allowed>
  Field& limit(const std::string& limits, Allowed allowed) {
    bool broken = false;
    SettingsType<T>::each(value_, [&](const Item& item) { broken |= !allowed(item); });
    add_limit(limits, broken);
    return *this;
  }
  void add_limit(const std::string& limits, bool broken) {
    entry_.limits += (entry_.limits.empty() ? "" : ", ") + limits;
    if (broken && !entry_.where.empty()) section_.problem(entry_, "must be " + limits);
  }

  Section& section_;
  SettingsEntry& entry_;
  const T& value_;
};

std::string one_of_text(const std::vector<std::string>& allowed);

template <class T>
Field<T>& Field<T>::one_of(const std::vector<Item>& allowed) {
  std::vector<std::string> names;
  for (const Item& item : allowed) names.push_back(toml_text(item));
  return limit("one of " + one_of_text(names), [&](const Item& x) {
    for (const Item& item : allowed)
      if (x == item) return true;
    return false;
  });
}

template <class T>
struct SettingsPlain {
  using Item = T;
  template <class Visit>
  static void each(const T& value, Visit visit) {
    visit(value);
  }
};
template <class Container, class T>
struct SettingsList {
  using Item = T;
  template <class Visit>
  static void each(const Container& values, Visit visit) {
    for (const T& value : values) visit(value);
  }
};
template <>
struct SettingsType<bool> : SettingsPlain<bool> {
  static constexpr const char* kName = "true or false";
};
template <>
struct SettingsType<int> : SettingsPlain<int> {
  static constexpr const char* kName = "whole number";
};
template <>
struct SettingsType<int64_t> : SettingsPlain<int64_t> {
  static constexpr const char* kName = "whole number";
};
template <>
struct SettingsType<uint64_t> : SettingsPlain<uint64_t> {
  static constexpr const char* kName = "whole number";
};
template <>
struct SettingsType<float> : SettingsPlain<float> {
  static constexpr const char* kName = "number";
};
template <>
struct SettingsType<double> : SettingsPlain<double> {
  static constexpr const char* kName = "number";
};
template <>
struct SettingsType<std::string> : SettingsPlain<std::string> {
  static constexpr const char* kName = "text";
};
template <>
struct SettingsType<std::vector<std::string>> : SettingsList<std::vector<std::string>, std::string> {
  static constexpr const char* kName = "list of text";
};
template <>
struct SettingsType<std::vector<int64_t>> : SettingsList<std::vector<int64_t>, int64_t> {
  static constexpr const char* kName = "list of whole numbers";
};
template <>
struct SettingsType<std::vector<double>> : SettingsList<std::vector<double>, double> {
  static constexpr const char* kName = "list of numbers";
};
template <class T>
struct SettingsType<std::optional<T>> {
  using Item = typename SettingsType<T>::Item;
  static constexpr const char* kName = SettingsType<T>::kName;
  template <class Visit>
  static void each(const std::optional<T>& value, Visit visit) {
    if (value) visit(*value);
  }
};

template <class T>
void Section::read(SettingsEntry& entry, std::optional<T>& value) {
  T inside = value.value_or(T{});
  read(entry, inside);
  if (!entry.where.empty() && !entry.wrong) value = inside;
}

template <class T>
Field<T> Section::field(std::string_view name, T& value, std::string_view help) {
  SettingsEntry& entry = add(name, help, SettingsType<T>::kName);
  read(entry, value);
  entry.value = toml_text(value);
  return Field<T>(*this, entry, value);
}

template <class E>
void Section::choice(std::string_view name, E& value, std::string_view help,
                     const std::vector<std::pair<std::string, E>>& names) {
  std::string chosen;
  std::vector<std::string> allowed;
  for (const auto& [known, number] : names) {
    allowed.push_back(known);
    if (number == value) chosen = known;
  }
  field(name, chosen, help).one_of(allowed);
  for (const auto& [known, number] : names)
    if (known == chosen) value = number;
}

template <class T>
void Section::section(std::string_view name, T& settings, std::string_view help) {
  Section child = inside(name, help, table_of(name), false);
  describe(child, settings);
  child.finish();
}

template <class T>
void Section::list(std::string_view name, std::vector<T>& items, std::string_view help) {
  std::optional<std::vector<const SettingsValue*>> tables = tables_of(name);
  if (tables) items.assign(tables->size(), T{});
  if (items.empty() && purpose_ != Purpose::listing) {
    add(name, help, "list of sections").value = "[]";
    return;
  }
  std::vector<T> example(items.empty() ? 1 : 0);
  for (T& item : items.empty() ? example : items) {
    Section child = inside(name, help, tables ? (*tables)[size_t(&item - items.data())] : nullptr, true);
    describe(child, item);
    child.finish();
  }
}

}  // namespace lathe
