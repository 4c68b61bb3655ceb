#pragma once

#include "lathe/infer/generator.h"

namespace CLI {
class App;
}

namespace lathe::cli {

/// The options that say how tokens are chosen and where a text ends. `options` must live until the command has run;
/// what it holds are the defaults.
void declare_sampling(CLI::App& app, GenerationOptions& options);

}  // namespace lathe::cli
