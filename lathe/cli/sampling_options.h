#pragma once

#include <nlohmann/json_fwd.hpp>

#include "lathe/cli/command_line.h"
#include "lathe/files/generation_config.h"
#include "lathe/infer/beam_texts.h"

namespace lathe::cli {

/// How texts are chosen and where they end, as far as the command line says it.
struct SamplingChoice {
  GenerationConfig said;
  uint64_t seed = 1;
  int64_t usual_tokens = 128;  ///< most tokens of a text where neither user nor model say
};

/// The options that say how tokens are chosen and where a text ends. `choice` must live until the command has run.
void declare_sampling(CommandLine app, SamplingChoice& choice);
/// --beams, --length-penalty and --early-stopping, likewise.
void declare_beams(CommandLine app, SamplingChoice& choice);

/// The same with nothing left open: where the user said nothing, what the model's own files say, else what is usual.
struct Sampling {
  GenerationOptions generation;
  BeamOptions search;      ///< with one beam where texts are drawn
  std::string from_model;  ///< what came from the model's files: "temperature 0.6, top-p 0.9"; "": nothing
  nlohmann::ordered_json json() const;
};

/// A search that the model's files ask for gives way to a user's options that a search cannot obey. Throws Error naming
/// what is out of range, and where it stands. `model` is where `own` came from.
Sampling sampling_of(const SamplingChoice& choice, const GenerationConfig& own, const std::string& model);

}  // namespace lathe::cli
