#pragma once

#include <cstdint>
#include <span>

#include "lathe/models/config.h"

namespace lathe {

/// How many of a text's first tokens see all of it, and are seen by all of it, in a model with windows: the first where
/// whole texts get labels, those before the first separator, a question, where spans answer it, otherwise none. Throws
/// Error where a question must be and is not.
int64_t global_tokens(const ModelConfig& config, std::span<const uint32_t> tokens);

/// The most there can be in `texts` texts of together `tokens`.
int64_t most_global_tokens(const ModelConfig& config, int64_t texts, int64_t tokens);

}  // namespace lathe
