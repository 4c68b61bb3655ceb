#pragma once

#include <nlohmann/json.hpp>

#include "lathe/cli/command_line.h"
#include "lathe/tokenize/chat_template.h"

namespace lathe::cli {

/// Which chat template a command uses, and what that is told.
struct TemplateOptions {
  std::string file;
  std::string system;
  nlohmann::ordered_json values;  ///< what the template may ask for, or null
};

/// --chat-template, --system and --template-set. `options` must live until the command has run.
void declare_template(CommandLine app, TemplateOptions& options);

/// The template of --chat-template, or else of `model`. Throws Error where there is none.
ChatTemplate chat_template_of(const std::string& model, const TemplateOptions& options);

}  // namespace lathe::cli
