#pragma once

#include <string>

#include "lathe/models/config.h"

namespace lathe {

/// What the head of a model gives: hidden rows as they are; logits of the token that follows, or stands, at a row;
/// logits of labels for a whole sequence (one alone: a reward) or each token; logits of being a span's first or last
/// token.
enum class Task : uint8_t { hidden, causal_lm, masked_lm, sequence_labels, token_labels, spans };

/// The task of `config.architecture`, by the words that transformers ends such names with; of its family where empty.
/// Throws Error for an architecture that is not built here, naming those that are.
Task task_of(const ModelConfig& config);

/// `config.architecture`, or its family's.
std::string architecture_of(const ModelConfig& config);

}  // namespace lathe
