#pragma once

#include <memory>
#include <string>
#include <vector>

#include "lathe/base/settings_section.h"

namespace lathe {

/// Job files: TOML that fills a struct. The struct's fields are declared once, in a function `describe(Section&, T&)`
/// in the struct's own namespace (settings_section.h shows one); from it come reading, printing and listing.
///
///   JobSettings job = read_settings<JobSettings>(settings_file("job.toml", {"optimizer.learning_rate=3e-4"}));
///   replace_file(run + "/job.toml", print_settings(job));

/// A job as text, and what --set adds to it.
struct SettingsSource {
  std::string name;                    // for messages: "job.toml"
  std::string text;                    // TOML, may be empty
  std::vector<std::string> overrides;  // "section.field=value", applied in order
  int format = 1;                      // newest "format = N" that is understood; a job without it has 1
};

/// The file `path` and overrides. Throws Error when it cannot be read.
SettingsSource settings_file(const std::string& path, std::vector<std::string> overrides = {}, int format = 1);

/// One use of a describe() function. The templates below are all that others need.
class SettingsDescription {
 public:
  explicit SettingsDescription(const SettingsSource& source);  // to read
  enum class Without { values, job };
  explicit SettingsDescription(Without what);  // to list, to print
  ~SettingsDescription();

  Section& root() { return *root_; }
  /// Throws Error with all problems of the job, one a line, if there are any.
  void finish();
  std::string printed(int format) const;
  std::string listed() const;

 private:
  SettingsGroup group_;
  SettingsValue value_;
  std::vector<std::string> problems_;
  std::unique_ptr<Section> root_;
};

/// Reads a job. Throws Error naming file, line and field for: no TOML; a newer format; a field that is unknown (with
/// the nearest name), of another type, out of bounds (naming them), missing or contradicting another. All are reported
/// at once.
template <class T>
T read_settings(const SettingsSource& source) {
  T settings{};
  SettingsDescription description(source);
  describe(description.root(), settings);
  description.finish();
  return settings;
}

/// The whole job as TOML: every field with its value and, as a comment, its help. read_settings gives it back equal.
template <class T>
std::string print_settings(T settings, int format = 1) {
  SettingsDescription description(SettingsDescription::Without::job);
  describe(description.root(), settings);
  return description.printed(format);
}

/// All fields with type, default, bounds and help, for people. What depends on another field shows as its default has
/// it.
template <class T>
std::string list_settings() {
  T settings{};
  SettingsDescription description(SettingsDescription::Without::values);
  describe(description.root(), settings);
  return description.listed();
}

}  // namespace lathe
