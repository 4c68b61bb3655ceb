#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "lathe/base/gguf_writer.h"
#include "lathe/models/config.h"

namespace lathe {

/// How texts are to be written with a model, as its own files say; empty where they say nothing. Named as in
/// transformers, but that a temperature of 0 says `do_sample: false`.
struct GenerationConfig {
  std::optional<double> temperature, top_p, min_p, repetition_penalty, length_penalty;
  std::optional<int64_t> top_k, no_repeat_ngram_size, max_new_tokens, num_beams;
  std::optional<std::string> early_stopping;  ///< "no", "yes", "never"
  std::vector<int64_t> eos_token_ids;
  std::vector<std::string> stop_strings;
  std::optional<int64_t> decoder_start_token_id, forced_bos_token_id, forced_eos_token_id;
  std::vector<std::string> ignored;  ///< fields that would change texts, but that lathe does not apply
};

/// What `model`/generation_config.json says, or general.sampling.* of the GGUF file `model` and what ends turns and
/// messages there; nothing without them. A generation_config.json that samples and leaves temperature, top_k or top_p
/// out means what transformers takes for them: 1, 50 and 1. Throws Error naming the file and the field that is of
/// another type.
GenerationConfig read_generation_config(const std::string& model);

/// The text of a generation_config.json: where texts begin and end as `config` says, padded with their end token, and
/// what `generation` says of how tokens are chosen.
std::string generation_config_json(const ModelConfig& config, const GenerationConfig& generation = {});

/// Adds what GGUF has keys for.
void add_gguf_sampling(const GenerationConfig& generation, GgufMetadata& metadata);

/// Adds the tokens that end texts besides `end`, the tokenizer's own, under the two names that GGUF files have for
/// such: the end of a turn and of a message. Texts end at both. A warning names those of `ids` that find no place.
void add_gguf_end_tokens(std::span<const int64_t> ids, int64_t end, GgufMetadata& metadata);

}  // namespace lathe
