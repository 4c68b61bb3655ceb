#include "lathe/base/settings.h"

#include <algorithm>

#include "lathe/base/text_input.h"

namespace lathe {
namespace {

using Kind = SettingsValue::Kind;

void check_format(const SettingsValue& root, const SettingsSource& source) {
  const SettingsValue* format = root.find("format");
  if (!format) return;
  format->described = true;
  require(format->kind == Kind::integer && format->integer >= 1, format->where,
          ": format must be a whole number from 1 to ", source.format);
  require(format->integer <= source.format, format->where, ": this job has format ", format->integer,
          ", newer than what this lathe reads (", source.format, "); use a newer lathe");
}

void print_group(const SettingsGroup& group, std::string& out) {
  if (!group.path.empty()) {
    out += group.listed ? "\n[[" + group.path + "]]" : "\n[" + group.path + "]";
    out += group.help.empty() ? "\n" : "  # " + group.help + "\n";
  }
  size_t width = 0;
  for (const auto& entry : group.entries) width = std::max(width, entry->name.size() + entry->value.size() + 3);
  for (const auto& entry : group.entries) {
    bool set = !entry->value.empty();
    std::string line = set ? entry->name + " = " + entry->value : "# " + entry->name + " is not set";
    line.resize(std::max(line.size(), std::min<size_t>(width, 40)), ' ');
    out += line + "  # " + entry->help + "\n";
  }
  for (const auto& child : group.groups) print_group(*child, out);
}

void list_entry(const SettingsEntry& entry, size_t width, std::string& out) {
  std::string name = "  " + entry.name;
  name.resize(width + 4, ' ');
  out += name + entry.help + " (" + entry.type;
  if (!entry.limits.empty()) out += ", " + entry.limits;
  out += entry.required ? ", required)\n" : entry.value.empty() ? ", not set)\n" : ", default " + entry.value + ")\n";
}

void list_group(const SettingsGroup& group, std::string& out) {
  if (!group.path.empty())
    out += (group.listed ? "\n[[" + group.path + "]]  " : "\n[" + group.path + "]  ") + group.help + "\n";
  size_t width = 0;
  for (const auto& entry : group.entries) width = std::max(width, entry->name.size());
  for (const auto& entry : group.entries) list_entry(*entry, width, out);
  for (const auto& child : group.groups) list_group(*child, out);
}

}  // namespace

SettingsSource settings_file(const std::string& path, std::vector<std::string> overrides, int format) {
  return {.name = path, .text = read_text(path, kLargestJob), .overrides = std::move(overrides), .format = format};
}

SettingsDescription::SettingsDescription(const SettingsSource& source) : value_(parse_toml(source.text, source.name)) {
  for (const std::string& assignment : source.overrides) apply_override(value_, assignment);
  check_format(value_, source);
  root_.reset(new Section(group_, &value_, Section::Purpose::reading, problems_));
}

SettingsDescription::SettingsDescription(Without what) {
  auto purpose = what == Without::values ? Section::Purpose::listing : Section::Purpose::printing;
  root_.reset(new Section(group_, nullptr, purpose, problems_));
}

SettingsDescription::~SettingsDescription() = default;

void SettingsDescription::finish() {
  root_->finish();
  constexpr size_t kShown = 10;
  if (problems_.empty()) return;
  if (problems_.size() == 1) throw Error(problems_[0]);
  std::string message = text(problems_.size(), " problems in the job:");
  for (size_t i = 0; i < problems_.size() && i < kShown; ++i) message += "\n  " + problems_[i];
  throw Error(problems_.size() > kShown ? message + "\n  ..." : message);
}

std::string SettingsDescription::printed(int format) const {
  std::string out = text("format = ", format, '\n');
  print_group(group_, out);
  return out;
}

std::string SettingsDescription::listed() const {
  std::string out;
  list_group(group_, out);
  return out;
}

}  // namespace lathe
