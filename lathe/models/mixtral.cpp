// Mixtral (Jiang et al. 2024): Mistral whose MLPs are experts, of which each token goes through the likeliest two.
#include "lathe/models/config_json.h"
#include "lathe/models/family.h"
#include "lathe/models/llama_form.h"
#include "lathe/ops/elementwise.h"
#include "lathe/ops/expert_choice.h"

namespace lathe {
namespace {

/// The tensors of all experts, one below another: of each expert those of `parts`.
std::vector<Slice> expert_slices(const ModelConfig& c, const std::string& name, const std::vector<std::string>& parts,
                                 int64_t out, int64_t in) {
  std::vector<Slice> slices;
  for (int64_t expert = 0; expert < c.num_local_experts; ++expert)
    for (const std::string& part : parts)
      slices.push_back(whole_matrix(text(name, ".experts.", expert, ".", part, ".weight"), out, in));
  return slices;
}

class Experts : public Part {
 public:
  Experts(const ModelConfig& c, const std::string& name, Mesh& mesh)
      : activation_(activation_named(c.hidden_act)),
        chosen_(c.num_experts_per_tok),
        gate_(projection(c, c.hidden_size, {{name + ".gate", c.num_local_experts}}, false, Split::none, mesh)),
        up_({c.num_local_experts, 2 * c.intermediate_size, c.hidden_size},
            expert_slices(c, name, {"w1", "w3"}, c.intermediate_size, c.hidden_size),
            Init::normal(float(c.initializer_range))),
        down_({c.num_local_experts, c.hidden_size, c.intermediate_size},
              expert_slices(c, name, {"w2"}, c.hidden_size, c.intermediate_size),
              Init::normal(float(c.initializer_range))) {}

  Tensor operator()(LinearInput given, Pass& pass, const Tensor* residual) const override {
    Tensor x = given.rows();
    given = Tensor();
    ExpertChoice choice = choose_experts(gate_(x, pass), chosen_);
    x = gather_rows(x, choice.tokens);
    x = up_.multiply_groups(x, choice.offsets);
    x = gated_activate(x, activation_);
    x = mix_experts(down_.multiply_groups(x, choice.offsets), choice);
    return residual ? add(x, *residual) : x;
  }
  void list(Inventory& inventory) override {
    gate_.list(inventory);
    up_.list(inventory);
    down_.list(inventory);
  }

 private:
  Activation activation_;
  int64_t chosen_;
  Linear gate_;
  DenseWeight up_, down_;
};

std::unique_ptr<Model> make(const ModelConfig& c, Mesh& mesh) {
  require(mesh.tensor.size() == 1, "mixtral: experts are not divided over tensor-parallel ranks");
  LlamaForm form;
  form.mlp = [&](const std::string& name) { return std::make_unique<Experts>(c, name + ".block_sparse_moe", mesh); };
  return make_llama_form(c, form, mesh);
}

void complete(ModelConfig& c) {
  if (c.num_local_experts == 0) c.num_local_experts = 8;
  if (c.num_experts_per_tok == 0) c.num_experts_per_tok = 2;
  complete_llama_form(c);
  require(!c.attention_bias && !c.mlp_bias, "mixtral: attention_bias and mlp_bias must be false");
  require(c.num_local_experts > 0 && c.num_local_experts <= 1024 && c.num_experts_per_tok > 0 &&
              c.num_experts_per_tok <= c.num_local_experts,
          "mixtral: num_experts_per_tok ", c.num_experts_per_tok, " of num_local_experts ", c.num_local_experts,
          " must be at least 1 of at most 1024");
}

void read(const nlohmann::json& json, ModelConfig& c) {
  c.vocab_size = 32000;
  c.hidden_size = 4096;
  c.intermediate_size = 14336;
  c.num_hidden_layers = c.num_attention_heads = 32;
  c.num_key_value_heads = 8;
  c.max_position_embeddings = 4096 * 32;
  c.hidden_act = "silu";
  c.norm_eps = 1e-5;
  c.rope_theta = 1e6;
  read_llama_fields(json, c);
  read_windows(json, c);
  for (const char* name : {"num_experts", "num_local_experts"}) read_field(json, name, c.num_local_experts);
  read_field(json, "num_experts_per_tok", c.num_experts_per_tok);
}

void write(const ModelConfig& c, nlohmann::json& json) {
  write_llama_fields(c, json);
  write_windows(c, json);
  json["num_local_experts"] = c.num_local_experts;
  json["num_experts_per_tok"] = c.num_experts_per_tok;
}

/// Files hold it as LLaMA with experts.
bool is_in(const GgufFile& file) { return file.fields().integer("llama.expert_count", 0) > 0; }

void read_gguf(const GgufFile& file, ModelConfig& c) {
  c.num_local_experts = file.fields().integer("llama.expert_count");
  c.num_experts_per_tok = file.fields().integer("llama.expert_used_count");
}

void write_gguf(const ModelConfig& c, GgufMetadata& metadata) {
  require(c.sliding_window == 0 || c.sliding_window >= c.max_position_embeddings, "mixtral: a sliding_window of ",
          c.sliding_window, " cannot be kept in a GGUF file, whose llama architecture has none");
  write_llama_gguf(c, metadata);
  metadata.set_u32("llama.expert_count", c.num_local_experts);
  metadata.set_u32("llama.expert_used_count", c.num_experts_per_tok);
}

std::vector<GgufName> gguf_names() {
  std::vector<GgufName> names = paired_llama_gguf_names();
  std::erase_if(names, [](const GgufName& name) { return name.model.find(".mlp.") != std::string::npos; });
  const std::string moe = "model.layers.*.block_sparse_moe.";
  names.push_back({moe + "gate", "blk.*.ffn_gate_inp"});
  names.push_back({moe + "experts.#.w1", "blk.*.ffn_gate_exps"});
  names.push_back({moe + "experts.#.w3", "blk.*.ffn_up_exps"});
  names.push_back({moe + "experts.#.w2", "blk.*.ffn_down_exps"});
  return names;
}

const bool provided = provide_family({.model_type = "mixtral",
                                      .architecture = "MixtralForCausalLM",
                                      .tensor_prefix = "model.",
                                      .complete = complete,
                                      .make = make,
                                      .read = read,
                                      .write = write,
                                      .gguf = GgufForm{.architecture = "llama",
                                                       .is = is_in,
                                                       .read = read_gguf,
                                                       .write = write_gguf,
                                                       .names = gguf_names(),
                                                       .of_config = {kRopeFreqs},
                                                       .config_tensors = rope_freqs,
                                                       .keys = {"expert_count"}}});

}  // namespace
}  // namespace lathe
