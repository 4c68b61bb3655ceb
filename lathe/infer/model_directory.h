#pragma once

#include <optional>
#include <string>
#include <vector>

#include "lathe/files/generation_config.h"
#include "lathe/files/peft_adapter.h"
#include "lathe/files/tensor_files.h"
#include "lathe/models/config.h"
#include "lathe/tokenize/tokenizer.h"

namespace lathe {

/// The tokens of `prompt` with what the tokenizer's template puts before a text, but nothing behind it. Where that is
/// none at all, the begin token, or else the end token. Throws Error when there is neither.
std::vector<TokenId> prompt_tokens(const Tokenizer& tokenizer, const std::string& prompt);

/// Tokens that end a text: those of the tokenizer and of the model.
std::vector<TokenId> end_tokens(const Tokenizer& tokenizer, const ModelConfig& config);

/// A model of Hugging Face's form on disk: config.json, safetensors, tokenizer.json.
struct ModelDirectory {
  /// Opens all of it. Throws Error naming what is missing or broken, and when the tokenizer has more tokens than the
  /// model knows, or a text is to begin with one that it does not know.
  /// With `adapter`, the directory of a PEFT adapter, `files` has its tensors too.
  explicit ModelDirectory(const std::string& path, const std::string& adapter = "");

  ModelConfig config;
  TensorFiles files;
  Tokenizer tokenizer;
  std::vector<TokenId> end_tokens;  ///< those of generation_config.json too
  GenerationConfig generation;
  std::optional<PeftAdapter> adapter;

  const PeftAdapter* adapter_or_null() const { return adapter ? &*adapter : nullptr; }

 private:
  void take_starts(const std::string& path);
};

}  // namespace lathe
