#pragma once

#include <memory>
#include <string>
#include <vector>

#include "lathe/infer/decoder.h"
#include "lathe/infer/generator.h"

namespace lathe::test {

/// Three layers, 64 positions, 260 tokens, of which byte_tokenizer() has 257: "gpt2", "llama" (grouped queries),
/// "llama_tied". Weights are large, so that the likeliest tokens differ clearly.
ModelConfig tiny_config(const std::string& kind);

/// <|endoftext|>, and a token a byte.
const Tokenizer& byte_tokenizer();

/// The same random weights twice, on the current Runtime.
struct TinyModel {
  TinyModel(const std::string& kind, DType dtype);
  ModelConfig config;
  std::unique_ptr<Model> whole;     ///< as in training
  std::unique_ptr<Model> prepared;  ///< for use
};

/// The likeliest token of a row of logits that byte_tokenizer() knows; the first of equals.
TokenId likeliest_of(const Tensor& logits, int64_t row);

/// The likeliest next token by a forward pass over all of `tokens`, without a cache.
TokenId likeliest(Model& model, const std::vector<TokenId>& tokens);

/// The likeliest tokens after the first `first` of `tokens`, after one more, and so on, by one such pass.
std::vector<TokenId> likeliest_after(Model& model, const std::vector<TokenId>& tokens, size_t first);

/// `count` tokens that depend on `seed`.
std::vector<TokenId> random_tokens(size_t count, uint64_t seed);

/// Greedy, of `max_new_tokens`.
GenerationOptions greedy(int64_t max_new_tokens);

/// Writes after `prompts`, `batch` at a time.
std::vector<Generated> generate(Model& model, const ModelConfig& config, DType dtype,
                                const std::vector<std::vector<TokenId>>& prompts, const GenerationOptions& options,
                                int64_t batch, const GenerationHooks& hooks = {},
                                const std::vector<TokenId>& end_tokens = {});

}  // namespace lathe::test
