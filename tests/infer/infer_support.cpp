#include "tests/infer/infer_support.h"

#include <algorithm>

#include "lathe/models/family.h"
#include "lathe/nn/prepare.h"
#include "lathe/tensor/sum.h"
#include "lathe/tokenize/trainer.h"
#include "tests/support/whole_pass.h"

namespace lathe::test {

ModelConfig tiny_config(const std::string& kind) {
  ModelConfig config;
  config.model_type = kind == "gpt2" ? "gpt2" : "llama";
  config.vocab_size = 260;
  config.hidden_size = 48;
  config.num_hidden_layers = 3;
  config.num_attention_heads = 4;
  config.num_key_value_heads = kind == "llama" ? 2 : 4;
  config.max_position_embeddings = 64;
  config.tie_word_embeddings = kind == "llama_tied";
  config.initializer_range = 0.4;
  return completed(config);
}

const Tokenizer& byte_tokenizer() {
  static const Tokenizer tokenizer = [] {
    TokenizerTrainer trainer({.vocabulary_size = 257});
    trainer.add("a");
    return trainer.train();
  }();
  return tokenizer;
}

TinyModel::TinyModel(const std::string& kind, DType dtype)
    : config(tiny_config(kind)), whole(ready_model(config, dtype, true)), prepared(make_model(config)) {
  std::vector<Parameter*> from = whole->inventory().parameters;
  prepare_for_use(*prepared, dtype, [&](const Inventory& some) {
    for (Parameter* to : some.parameters)
      for (Parameter* parameter : from)
        if (parameter->name() == to->name()) copy(parameter->kept, to->kept);
  });
}

TokenId likeliest_of(const Tensor& logits, int64_t row) {
  std::vector<float> all = values_of(logits.rows(row, 1));
  return TokenId(std::max_element(all.begin(), all.begin() + byte_tokenizer().vocabulary_size()) - all.begin());
}

std::vector<TokenId> likeliest_after(Model& model, const std::vector<TokenId>& tokens, size_t first) {
  WholePass pass(std::vector<int32_t>(tokens.begin(), tokens.end()), {0, int32_t(tokens.size())});
  Tensor logits = model.forward(pass);
  std::vector<TokenId> next;
  for (size_t count = first; count < tokens.size(); ++count) next.push_back(likeliest_of(logits, int64_t(count) - 1));
  return next;
}

TokenId likeliest(Model& model, const std::vector<TokenId>& tokens) {
  WholePass pass(std::vector<int32_t>(tokens.begin(), tokens.end()), {0, int32_t(tokens.size())});
  return likeliest_of(model.forward(pass), int64_t(tokens.size()) - 1);
}

std::vector<TokenId> random_tokens(size_t count, uint64_t seed) {
  std::vector<TokenId> tokens;
  for (size_t i = 0; i < count; ++i) tokens.push_back(1 + Random(seed).bits(i) % 256);
  return tokens;
}

GenerationOptions greedy(int64_t max_new_tokens) {
  GenerationOptions options{.max_new_tokens = max_new_tokens};
  options.sampling.temperature = 0;
  return options;
}

std::vector<Generated> generate(Model& model, const ModelConfig& config, DType dtype,
                                const std::vector<std::vector<TokenId>>& prompts, const GenerationOptions& options,
                                int64_t batch, const GenerationHooks& hooks, const std::vector<TokenId>& end_tokens) {
  DecoderLimits limits = limits_for(prompts, options.max_new_tokens, config.max_position_embeddings, batch);
  Decoder decoder(model, config, dtype, limits);
  return Generator(decoder, byte_tokenizer(), end_tokens, options).run(prompts, hooks);
}

}  // namespace lathe::test
