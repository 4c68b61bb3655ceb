#pragma once

#include <vector>

#include "lathe/base/hash.h"
#include "lathe/tokenize/json_fields.h"
#include "lathe/tokenize/parts.h"

namespace lathe::tokenize {

/// Reads model.vocab and model.merges.
ModelTables read_model_tables(const JsonFields& model);

/// Makes the model, sets its kind and the unknown token. `bytes`: words are pieces of bytes; `hidden`, by id: tokens
/// that text does not become. Throws Error, naming it, for a kind or setting that is not built here.
void read_model(const JsonFields& model, bool bytes, std::vector<bool> hidden, ModelTables& tables,
                Tokenizer::Parts& parts, Hasher& hasher);

}  // namespace lathe::tokenize
