#include "lathe/ops/matmul_choices.h"

#include <cctype>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <mutex>
#include <sstream>

#include "lathe/base/durable_file.h"
#include "lathe/base/log.h"
#include "lathe/base/numbers.h"

namespace lathe {
namespace {

constexpr std::string_view kFirstLine = "# lathe: algorithms of products; product, algorithm, microseconds";
constexpr std::string_view kDevice = "device\t";

constexpr std::string_view kNotMeasured = "-";

struct Choice {
  std::string algorithm, microseconds;
  bool used = false;
};
using Choices = std::map<std::string, Choice>;

struct Table {
  std::mutex mutex;
  std::map<std::string, Choices> of_devices;
  std::map<std::string, bool> unsaved;  ///< devices whose cache file was read: whether there is more to write
};

Table& table() {
  static Table table;
  return table;
}

thread_local bool measuring = false;

std::filesystem::path cache_directory() {
  auto variable = [](const char* name) -> std::string {
    const char* value = std::getenv(name);
    return value ? value : "";
  };
  if (std::string given = variable("LATHE_CACHE"); !given.empty()) return given;
  if (std::string cache = variable("XDG_CACHE_HOME"); !cache.empty()) return std::filesystem::path(cache) / "lathe";
  if (std::string home = variable("HOME"); !home.empty()) return std::filesystem::path(home) / ".cache/lathe";
  return {};
}

std::filesystem::path cache_file(const std::string& device) {
  std::string name = "products " + device;
  for (char& c : name)
    if (!std::isalnum(static_cast<unsigned char>(c)) && c != '.') c = '-';
  return cache_directory() / (name + ".txt");
}

std::string text_of(const std::string& device, const Choices& choices, bool used_only) {
  std::string lines;
  for (const auto& [product, choice] : choices)
    if (used_only ? choice.used : choice.microseconds != kNotMeasured)
      lines += text(product, '\t', choice.algorithm, '\t', choice.microseconds, '\n');
  return lines.empty() ? lines : text(kDevice, device, '\n', lines);
}

/// Adds what `from` says and `into` does not know; false when `from` is no such text.
bool add_choices(std::string_view from, std::map<std::string, Choices>& into) {
  std::istringstream lines{std::string(from)};
  Choices* choices = nullptr;
  for (std::string line; std::getline(lines, line);) {
    if (line.empty() || line[0] == '#') continue;
    if (line.starts_with(kDevice)) {
      choices = &into[line.substr(kDevice.size())];
      continue;
    }
    size_t first = line.find('\t'), second = line.find('\t', first + 1);
    if (!choices || first == std::string::npos || second == std::string::npos) return false;
    choices->try_emplace(line.substr(0, first),
                         Choice{line.substr(first + 1, second - first - 1), line.substr(second + 1)});
  }
  return true;
}

/// A file that is missing or damaged tells nothing.
void add_cache(const std::string& device, std::map<std::string, Choices>& into) {
  std::ifstream file(cache_file(device));
  std::string content{std::istreambuf_iterator<char>(file), {}};
  std::map<std::string, Choices> found;
  if (add_choices(content, found)) into[device].merge(found[device]);
}

Choices& choices_of(const std::string& device) {
  if (table().unsaved.try_emplace(device, false).second) add_cache(device, table().of_devices);
  return table().of_devices[device];
}

void save_choices() {
  std::lock_guard lock(table().mutex);
  for (auto& [device, unsaved] : table().unsaved) {
    if (!unsaved) continue;
    unsaved = false;
    std::map<std::string, Choices> all{{device, table().of_devices[device]}};
    add_cache(device, all);  // what other programs measured meanwhile
    try {
      std::filesystem::create_directories(cache_directory());
      replace_file(cache_file(device).string(), text(kFirstLine, '\n', text_of(device, all[device], false)));
    } catch (const std::exception& error) {
      say_once("the algorithms of products are measured again in the next run: ", error.what());
    }
  }
}

}  // namespace

MeasureProducts::MeasureProducts() : before_(measuring) { measuring = true; }

MeasureProducts::~MeasureProducts() {
  measuring = before_;
  if (!before_) save_choices();
}

bool MeasureProducts::active() { return measuring; }

std::string used_product_choices() {
  std::lock_guard lock(table().mutex);
  std::string all;
  for (const auto& [device, choices] : table().of_devices) all += text_of(device, choices, true);
  return all.empty() ? all : text(kFirstLine, '\n', all);
}

void use_product_choices(std::string_view text) {
  std::lock_guard lock(table().mutex);
  std::map<std::string, Choices> given;
  require(add_choices(text, given), "the algorithms of products: a line is not 'product, algorithm, microseconds'");
  for (auto& [device, choices] : given) {
    choices.merge(table().of_devices[device]);
    table().of_devices[device] = std::move(choices);
  }
}

std::string chosen_algorithm(const std::string& device, const std::string& product) {
  std::lock_guard lock(table().mutex);
  Choices& choices = choices_of(device);
  auto found = choices.find(product);
  if (found == choices.end()) return {};
  found->second.used = true;
  return found->second.algorithm;
}

void choose_algorithm(const std::string& device, const std::string& product, const std::string& algorithm,
                      double microseconds) {
  std::lock_guard lock(table().mutex);
  bool measured = microseconds > 0;
  choices_of(device)[product] = {algorithm, measured ? format_fixed(microseconds, 1) : std::string(kNotMeasured), true};
  if (measured) table().unsaved[device] = true;
}

}  // namespace lathe
