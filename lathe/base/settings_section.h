#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "lathe/base/error.h"
#include "lathe/base/settings_value.h"

namespace lathe {

/// What describe() said about one field, and what the job said.
struct SettingsEntry {
  std::string name, help, type, limits;
  std::string value;  // as TOML; empty when an optional field is not set
  std::string where;  // in the job, empty when not given
  bool required = false;
  bool wrong = false;  // a problem with it is reported already
};

/// A section of the job as described: fields, then the sections inside it.
struct SettingsGroup {
  std::string name, help, path;  // path: "data.corpus"
  bool listed = false;           // one entry of a list, [[path]]
  std::vector<std::unique_ptr<SettingsEntry>> entries;
  std::vector<std::unique_ptr<SettingsGroup>> groups;
};

/// Narrows what a field may be; each call returns the field, to be chained. A value out of bounds becomes a problem of
/// the job that names the field, its place and the bound. Of a list each item is held to it; an optional without value
/// passes.
template <class T>
class Field;

/// What a describe() function declares its fields on. The same calls read a job, print it and list what exists; so
/// describe() reads like a table and has no other effects. A value is read by the time its call returns, so later lines
/// may depend on it: `if (s.family == "llama") section.field("rope_theta", ...)`.
///
///   void describe(Section& section, OptimizerSettings& s) {
///     section.field("learning_rate", s.learning_rate, "peak learning rate").above(0);
///     section.field("name", s.name, "which optimizer").one_of({"adamw", "adafactor"});
///     section.field("groups", s.groups, "names of parameter groups");       // std::vector<std::string>
///     section.check(s.beta1 < s.beta2, "beta1 ", s.beta1, " must be below beta2 ", s.beta2);
///   }
///   void describe(Section& section, JobSettings& s) {
///     section.section("optimizer", s.optimizer, "how weights are updated");  // [optimizer]
///     section.list("corpus", s.corpora, "where text comes from");            // [[corpus]],
///     std::vector<CorpusSettings>
///   }
///
/// The default of a field is the struct's initial value. Fields may be bool, int, int64_t, uint64_t, float, double,
/// std::string, std::optional of those (not set: a comment in print), and std::vector of std::string, int64_t or
/// double.
class Section {
 public:
  template <class T>
  Field<T> field(std::string_view name, T& value, std::string_view help);
  /// An enum, written by name.
  template <class E>
  void choice(std::string_view name, E& value, std::string_view help,
              const std::vector<std::pair<std::string, E>>& names);
  /// A number of bytes, written as a number or as "8GiB".
  Field<int64_t> bytes(std::string_view name, int64_t& value, std::string_view help);
  template <class T>
  void section(std::string_view name, T& settings, std::string_view help);
  template <class T>
  void list(std::string_view name, std::vector<T>& items, std::string_view help);

  /// A rule between fields. Judged only while reading, and only when nothing in this section is wrong already.
  template <class... Parts>
  void check(bool holds, const Parts&... parts) {
    if (!holds) contradiction(text(parts...));
  }

  /// Whether the job itself gives the field or section `name`; false when printing or listing.
  bool given(std::string_view name) const;

 private:
  friend class SettingsDescription;
  template <class T>
  friend class Field;

  enum class Purpose : uint8_t { reading, printing, listing };
  Section(SettingsGroup& group, const SettingsValue* table, Purpose purpose, std::vector<std::string>& problems)
      : group_(group), table_(table), purpose_(purpose), problems_(problems), problems_before_(problems.size()) {}

  SettingsEntry& add(std::string_view name, std::string_view help, std::string type);
  Section inside(std::string_view name, std::string_view help, const SettingsValue* table, bool listed);
  const SettingsValue* table_of(std::string_view name);
  /// The entries that the job gives for a list; nullopt when it does not mention it.
  std::optional<std::vector<const SettingsValue*>> tables_of(std::string_view name);
  const SettingsValue* value_of(SettingsEntry& entry) const;
  void wrong_kind(SettingsEntry& entry, const std::string& wanted, const SettingsValue& found);
  void problem(SettingsEntry& entry, const std::string& message);
  void contradiction(const std::string& message);
  void finish();

  void read(SettingsEntry& entry, bool& value);
  void read(SettingsEntry& entry, int64_t& value);
  void read(SettingsEntry& entry, uint64_t& value);
  void read(SettingsEntry& entry, int& value);
  void read(SettingsEntry& entry, double& value);
  void read(SettingsEntry& entry, float& value);
  void read(SettingsEntry& entry, std::string& value);
  void read(SettingsEntry& entry, std::vector<std::string>& value);
  void read(SettingsEntry& entry, std::vector<int64_t>& value);
  void read(SettingsEntry& entry, std::vector<double>& value);
  template <class T>
  void read(SettingsEntry& entry, std::optional<T>& value);

  SettingsGroup& group_;
  const SettingsValue* table_;  // null unless the job has this section
  Purpose purpose_;
  std::vector<std::string>& problems_;
  size_t problems_before_;
};

}  // namespace lathe

#include "lathe/base/settings_field.h"  // the bodies of the templates
