#include "lathe/files/lora_config.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "lathe/base/error.h"
#include "lathe/base/json.h"
#include "lathe/base/text_input.h"

namespace lathe {
namespace {

using nlohmann::json;

Regex whole(const std::string& expression) { return Regex("\\A(?:" + expression + ")\\z"); }

bool matches(const Regex& expression, const std::string& name) {
  size_t begin = 0, end = 0;
  return expression.find(name, 0, begin, end);
}

bool is_or_ends(const std::string& module, const std::string& name) {
  return module == name || module.ends_with("." + name);
}

std::vector<std::string> strings(const JsonFields& fields, const char* name) {
  if (!fields.has(name)) return {};
  return fields.json()[name].is_string() ? std::vector{fields.string(name)} : fields.strings(name);
}

ModuleNames module_names(const JsonFields& fields, const char* name) {
  if (!fields.has(name)) return {};
  if (!fields.json()[name].is_string()) return ModuleNames::list(fields.strings(name));
  std::string expression = fields.string(name);
  return expression == "all-linear" ? ModuleNames() : ModuleNames::expression(expression);
}

std::vector<int64_t> integers(const JsonFields& fields, const char* name) {
  if (!fields.has(name)) return {};
  return fields.json()[name].is_array() ? fields.integers(name) : std::vector{fields.integer(name)};
}

/// What would need more than two narrow matrices beside a weight.
void require_plain(const JsonFields& fields) {
  std::string type = fields.string("peft_type");
  require(type == "LORA", fields.place("peft_type"), " is ", type, ": lathe reads adapters of type LORA");
  for (const char* name : {"lora_bias", "use_qalora"})
    require(!fields.boolean(name, false), fields.place(name), " is true, which lathe does not read");
  for (const char* name :
       {"layer_replication", "target_parameters", "trainable_token_indices", "alora_invocation_tokens", "arrow_config",
        "kasa_config", "monteclora_config", "velora_config", "use_bdlora"})
    require(!fields.has(name) || fields.json()[name].empty(), fields.place(name),
            ": lathe does not read adapters with ", name);
  const json init = fields.has("init_lora_weights") ? fields.json()["init_lora_weights"] : json();
  for (const char* changing : {"pissa", "olora", "corda", "loftq", "lora_ga"})
    require(!init.is_string() || !init.get<std::string>().starts_with(changing), fields.place("init_lora_weights"),
            " is ", init.is_string() ? init.get<std::string>() : "",
            ", which changes the base model when it is loaded; save the adapter with "
            "path_initial_model_for_weight_conversion to make a plain LoRA of it");
}

/// PEFT takes the first expression of a dictionary that fits, in the order of the file.
std::vector<std::pair<Regex, double>> pattern(const nlohmann::ordered_json& config, const JsonFields& fields,
                                              const char* name) {
  std::vector<std::pair<Regex, double>> all;
  if (!fields.has(name)) return all;
  require(config[name].is_object(), fields.place(name), " must be an object of numbers");
  for (const auto& [expression, value] : config[name].items()) {
    require(value.is_number() && value.get<double>() > 0 && value.get<double>() <= 1e9, fields.place(name), ".",
            expression, " must be a number above 0, and at most 1e9");
    all.emplace_back(Regex("\\A(?:.*\\.)?(?:" + expression + ")\\z"), value.get<double>());
  }
  return all;
}

double value_of(const std::vector<std::pair<Regex, double>>& pattern, const std::string& module, double otherwise) {
  for (const auto& [expression, value] : pattern)
    if (matches(expression, module)) return value;
  return otherwise;
}

/// The number behind ".layers." and the like: -1 where there is none.
int64_t number_behind(const Regex& before, const std::string& module) {
  size_t begin = 0, end = 0;
  if (!before.find(module, 0, begin, end)) return -1;
  size_t digits = module.find_first_not_of("0123456789", end);
  if (digits == end || digits == std::string::npos || module[digits] != '.' || digits - end > 9) return -1;
  return std::stoll(module.substr(end, digits - end));
}

}  // namespace

ModuleNames ModuleNames::expression(const std::string& expression) {
  ModuleNames names;
  names.expression_ = whole(expression);
  return names;
}

ModuleNames ModuleNames::list(std::vector<std::string> all) {
  ModuleNames names;
  names.names_ = std::move(all);
  return names;
}

bool ModuleNames::has(const std::string& module) const {
  if (expression_) return matches(*expression_, module);
  return std::any_of(names_.begin(), names_.end(), [&](const std::string& name) { return is_or_ends(module, name); });
}

LoraConfig::LoraConfig(const std::string& path) : LoraConfig(read_text(path, 1'000'000), path) {}

LoraConfig::LoraConfig(const std::string& content, const std::string& path) {
  const json object = parse_json(content, path);
  const nlohmann::ordered_json ordered = parse_ordered_json(content, path);
  JsonFields fields(object, path);
  require_plain(fields);
  rank_ = fields.integer("r");
  alpha_ = fields.number("lora_alpha");
  require(rank_ > 0, fields.place("r"), " = ", rank_, " must be above 0");
  root_ = fields.boolean("use_rslora", false);
  use_dora_ = fields.boolean("use_dora", false);
  targets_ = module_names(fields, "target_modules");
  excluded_ = module_names(fields, "exclude_modules");
  ranks_ = pattern(ordered, fields, "rank_pattern");
  for (const auto& rank : ranks_)
    require(rank.second == std::floor(rank.second), fields.place("rank_pattern"), " has ", rank.second,
            "; ranks are whole numbers");
  alphas_ = pattern(ordered, fields, "alpha_pattern");
  layers_ = integers(fields, "layers_to_transform");
  std::vector<std::string> before = strings(fields, "layers_pattern");
  if (before.empty()) before = {"[^.]*"};
  for (const std::string& name : before) layer_patterns_.emplace_back("\\A.*\\.(?:" + name + ")\\.(?=[0-9]+\\.)");
}

bool LoraConfig::in_layers(const std::string& module) const {
  if (layers_.empty()) return true;
  for (const Regex& before : layer_patterns_)
    if (int64_t number = number_behind(before, module); number >= 0)
      return std::count(layers_.begin(), layers_.end(), number) > 0;
  return false;
}

bool LoraConfig::targets(const std::string& module) const {
  return !excluded_.has(module) && (targets_.empty() || targets_.has(module)) && in_layers(module);
}

int64_t LoraConfig::rank_of(const std::string& module) const {
  return int64_t(value_of(ranks_, module, double(rank_)));
}

double LoraConfig::scale_of(const std::string& module) const {
  auto rank = double(rank_of(module));
  return value_of(alphas_, module, alpha_) / (root_ ? std::sqrt(rank) : rank);
}

}  // namespace lathe
