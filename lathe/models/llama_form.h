#pragma once

#include <functional>

#include "lathe/models/gguf_form.h"
#include "lathe/models/layers.h"

namespace lathe {

/// What LLaMA's descendants change in its form, which is: norm, attention, norm, gated MLP, with its names in files.
struct LlamaForm {
  bool qkv_bias = false, o_bias = false, mlp_bias = false;
  bool head_norms = false;         ///< of queries and keys
  float norm_weight_offset = 0;    ///< see RmsNorm
  bool fused_projections = false;  ///< files hold qkv_proj and gate_up_proj
  /// The MLP of the layer `name`; empty: llama_mlp().
  std::function<std::unique_ptr<Part>(const std::string& name)> mlp;
};

/// Attention of layer `name`.self_attn, with the positions of `c` in `spec`.
std::unique_ptr<Part> llama_attention(const ModelConfig& c, const LlamaForm& form, int layer, AttentionSpec spec,
                                      const std::string& name, Mesh& mesh);
std::unique_ptr<Part> llama_mlp(const ModelConfig& c, const LlamaForm& form, const std::string& name, Mesh& mesh);
std::unique_ptr<Norm> llama_norm(const ModelConfig& c, const LlamaForm& form, const std::string& name);

/// The whole model, whose layers are sequential.
std::unique_ptr<Model> make_llama_form(const ModelConfig& c, const LlamaForm& form, Mesh& mesh);

/// How GGUF files hold such models: write_gguf_sizes(), the width of heads, positions. Throws Error for a rope_scaling
/// that these fields do not tell.
void write_llama_gguf_sizes(const ModelConfig& c, const std::string& architecture, GgufMetadata& metadata);
/// The same for the "llama" architecture, whose files may have the tensor rope_freqs.weight: what each pair's frequency
/// is divided by, which tells llama3's scaling and longrope's with one list. rope_freqs() is that tensor, or nothing.
void write_llama_gguf(const ModelConfig& c, GgufMetadata& metadata);
std::vector<GgufTensorSource> rope_freqs(const ModelConfig& c);
constexpr const char* kRopeFreqs = "rope_freqs.weight";
/// llama_gguf_names() with queries and keys as llama.cpp's "llama" architecture has them.
std::vector<GgufName> paired_llama_gguf_names();

/// Fills zeros as LLaMA has them; throws Error for what no descendant does either: dropout, heads of odd width.
void complete_llama_form(ModelConfig& c);

}  // namespace lathe
