#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "lathe/cli/command_line.h"

namespace lathe::cli {

/// The model directory, or GGUF file, that a command's RUN|MODEL argument means: for a run, its newest intact
/// checkpoint or that of `step` (never the links of the run itself, which a running training may point elsewhere at any
/// time); a GGUF file, or a directory with a config.json, stands for itself. Throws Error saying what is there instead.
std::string model_directory(const std::string& run_or_model, std::optional<int64_t> step = std::nullopt);

/// --adapter: the directory of a PEFT adapter for the model.
void declare_adapter(CommandLine app, std::string& adapter);

}  // namespace lathe::cli
