#include "lathe/cli/beam_options.h"

#include <CLI/CLI.hpp>

namespace lathe::cli {

void declare_beams(CLI::App& app, BeamOptions& options) {
  options.beams = 1;
  app.add_option("--beams", options.beams, "above 1: search for the likeliest text with this many candidates")
      ->capture_default_str();
  app.add_option("--length-penalty", options.length_penalty, "of a search: above 0 favours longer texts")
      ->capture_default_str();
  app.add_option("--early-stopping", options.early_stopping, "of a search: no, yes or never")
      ->transform(CLI::CheckedTransformer(std::map<std::string, EarlyStopping>{{"no", EarlyStopping::no},
                                                                               {"yes", EarlyStopping::yes},
                                                                               {"never", EarlyStopping::never}})
                      .description(""))
      ->default_str("no")
      ->type_name("WORD");
}

}  // namespace lathe::cli
