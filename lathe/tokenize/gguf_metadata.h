#pragma once

#include "lathe/base/gguf_writer.h"
#include "lathe/tokenize/tokenizer.h"

namespace lathe {

/// Adds what a GGUF file says of its tokenizer (tokenizer.ggml.*): tokens, their types, merges or scores, how text is
/// split, which tokens begin, end and pad. `tokens`: how many the model knows; those beyond the tokenizer's are unused.
/// Throws Error for kinds that such files do not hold, and for a way to split text that has no name there.
void add_gguf_tokenizer(const Tokenizer& tokenizer, int64_t tokens, GgufMetadata& metadata);

}  // namespace lathe
