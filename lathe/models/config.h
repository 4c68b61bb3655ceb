#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace lathe {

/// How rotary positions are stretched beyond the length that a model was first trained for: `rope_scaling`.
struct RopeScaling {
  std::string rope_type;  ///< "": not at all; "linear", "dynamic", "llama3", "yarn", "longrope"
  double factor = 1;
  int64_t original_max_position_embeddings = 0;      ///< 0: max_position_embeddings
  double low_freq_factor = 1, high_freq_factor = 4;  ///< llama3
  double beta_fast = 32, beta_slow = 1;              ///< yarn
  double attention_factor = 0;                       ///< yarn, longrope; 0: as factor says
  std::vector<double> short_factor, long_factor;     ///< longrope
};

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
  int64_t bos_token_id = -1, eos_token_id = -1, pad_token_id = -1, sep_token_id = -1;

  double partial_rotary_factor = 0;  ///< share of a head that positions turn
  double rope_local_base_freq = 0;   ///< Gemma 3: rope_theta of layers with a window
  RopeScaling rope_scaling;
  int64_t sliding_window = 0;  ///< tokens that a query sees, itself included; 0: all
  std::vector<std::string>
      layer_types;                   ///< "full_attention" or "sliding_attention" each; empty: as sliding_window says
  double query_pre_attn_scalar = 0;  ///< scores are divided by its root
  double attn_logit_softcapping = 0, final_logit_softcapping = 0;
  bool use_parallel_residual = false;   ///< attention and MLP read the same hidden rows
  int64_t num_ln_in_parallel_attn = 0;  ///< Falcon: norms before those two
  bool alibi = false;                   ///< Falcon: biases by distance instead of rotary positions
  bool do_layer_norm_before = true;     ///< OPT: norms before the parts rather than behind
  int64_t word_embed_proj_dim = 0;      ///< OPT: width of the table of tokens
  int64_t num_local_experts = 0, num_experts_per_tok = 0;

  std::string architecture;         ///< the class of transformers that opens it: says what its head is; see task.h
  std::vector<std::string> labels;  ///< what the outputs of a classifier mean
  int64_t type_vocab_size = 0;      ///< kinds of segments that a text may have
  std::vector<int64_t>
      attention_window;  ///< Longformer: tokens around one that it sees, a layer each, half on each side

  int64_t num_decoder_layers = 0;       ///< of an encoder-decoder, whose num_hidden_layers are the encoder's; else 0
  int64_t decoder_start_token_id = -1;  ///< what its texts begin with
  int64_t forced_bos_token_id = -1, forced_eos_token_id = -1;  ///< first token behind that; last of a text cut short
  int64_t relative_attention_num_buckets = 0, relative_attention_max_distance = 0;
  bool gated_mlp = false;
  bool scale_embedding = false;        ///< BART: vectors of tokens are multiplied by the root of hidden_size
  bool scale_decoder_outputs = false;  ///< T5: hidden rows are divided by it before the head
  std::string other_fields;  ///< of the config.json it was read from: a JSON object of what is not known here, or ""
};

constexpr int64_t kMostLayers = 1 << 12;  ///< of a model: thirty times what the deepest have

/// The window of `layer`: 0 where it sees everything.
int64_t window_of(const ModelConfig& config, int64_t layer);

/// Layers that write texts: those whose keys and values a cache holds.
int64_t decoding_layers(const ModelConfig& config);

}  // namespace lathe
