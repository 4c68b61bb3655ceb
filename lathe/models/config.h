#pragma once

#include <cstdint>
#include <string>

namespace lathe {

/// What defines a model's shapes and arithmetic, in one vocabulary for all families: Hugging Face's, as LLaMA spells
/// it. Zeros mean "as the family has it": see complete().
struct ModelConfig {
  std::string model_type = "llama";  ///< the family
  int64_t vocab_size = 0;
  int64_t hidden_size = 0;
  int64_t num_hidden_layers = 0;
  int64_t num_attention_heads = 0;
  int64_t num_key_value_heads = 0;  ///< 0: num_attention_heads
  int64_t head_dim = 0;             ///< 0: hidden_size / num_attention_heads
  int64_t intermediate_size = 0;
  int64_t max_position_embeddings = 0;
  std::string hidden_act;
  double norm_eps = 0;  ///< rms_norm_eps or layer_norm_epsilon
  double rope_theta = 0;
  bool tie_word_embeddings = false;
  bool attention_bias = false;
  bool mlp_bias = false;
  double initializer_range = 0.02;
  double embd_pdrop = 0, resid_pdrop = 0;
  int64_t bos_token_id = -1, eos_token_id = -1;
};

}  // namespace lathe
