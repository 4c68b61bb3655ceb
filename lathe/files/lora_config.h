#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "lathe/base/regex.h"

namespace lathe {

/// Names of modules, as PEFT writes them: a regular expression for whole names, or a list of names or their ends.
class ModuleNames {
 public:
  ModuleNames() = default;  ///< none
  static ModuleNames expression(const std::string& expression);
  static ModuleNames list(std::vector<std::string> names);
  bool has(const std::string& module) const;
  bool empty() const { return !expression_ && names_.empty(); }

 private:
  std::optional<Regex> expression_;
  std::vector<std::string> names_;
};

/// The adapter_config.json of a LoRA, as PEFT writes it.
class LoraConfig {
 public:
  /// Throws Error naming the file and the field that is missing, of another type, or asks for what is not built here:
  /// another kind of adapter, weights of the base model that change when it is loaded.
  explicit LoraConfig(const std::string& path);
  /// The same of what stands in it.
  LoraConfig(const std::string& content, const std::string& path);

  /// Whether target_modules, exclude_modules and layers_to_transform mean a module of that name in the base model.
  bool targets(const std::string& module) const;
  bool says_targets() const { return !targets_.empty(); }
  int64_t rank_of(const std::string& module) const;
  double scale_of(const std::string& module) const;
  bool use_dora() const { return use_dora_; }  ///< rows have lengths of their own (Liu et al. 2024)

 private:
  /// Values for modules whose names, or ends of them, are of an expression.
  using Pattern = std::vector<std::pair<Regex, double>>;
  ModuleNames targets_, excluded_;
  std::vector<int64_t> layers_;
  std::vector<Regex> layer_patterns_;
  Pattern ranks_, alphas_;
  int64_t rank_ = 0;
  double alpha_ = 0;
  bool root_ = false, use_dora_ = false;

  bool in_layers(const std::string& module) const;
};

}  // namespace lathe
