#pragma once

#include <string>

namespace lathe::tokenize {

/// How the words of a byte-level vocabulary in a GGUF file are cut, which the file only names (tokenizer.ggml.pre).
struct GgufSplit {
  std::string pre_tokenizer;  // as in tokenizer.json
  bool whole_words_first = false;
  bool begins = false;   // texts begin with the begin token unless the file says otherwise
  bool roberta = false;  // between two texts stand two end tokens
};

/// Throws Error, beginning with `place`, for a name that is not known.
GgufSplit gguf_split(const std::string& name, const std::string& place);

}  // namespace lathe::tokenize
