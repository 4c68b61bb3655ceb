#pragma once

#include "lathe/infer/beam_texts.h"

namespace CLI {
class App;
}

namespace lathe::cli {

/// --beams, --length-penalty and --early-stopping. `options` must live until the command has run.
void declare_beams(CLI::App& app, BeamOptions& options);

}  // namespace lathe::cli
