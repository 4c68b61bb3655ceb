#include "lathe/train/job.h"

namespace lathe {

static void describe(Section& section, RopeScaling& r) {
  section.field("rope_type", r.rope_type, "linear, dynamic, llama3, yarn or longrope; empty: not stretched");
  section.field("factor", r.factor, "how many times as long").above(0);
  section
      .field("original_max_position_embeddings", r.original_max_position_embeddings,
             "the length before; 0: max_position_embeddings")
      .at_least(0);
  section.field("low_freq_factor", r.low_freq_factor, "llama3: turns below which pairs are stretched whole").above(0);
  section.field("high_freq_factor", r.high_freq_factor, "llama3: turns above which they are not").above(0);
  section.field("beta_fast", r.beta_fast, "yarn: turns above which pairs are not stretched").above(0);
  section.field("beta_slow", r.beta_slow, "yarn: turns below which they are stretched whole").above(0);
  section.field("attention_factor", r.attention_factor, "yarn, longrope: of cosines and sines; 0: as factor says")
      .at_least(0);
  section.field("short_factor", r.short_factor, "longrope: of each pair, in texts up to the original length").above(0);
  section.field("long_factor", r.long_factor, "longrope: of each pair, in longer ones").above(0);
}

void describe(Section& section, ModelConfig& m) {
  section.field("model_type", m.model_type, "family of models, as in docs/models.md");
  section.field("vocab_size", m.vocab_size, "tokens that the model knows").above(0);
  section.field("hidden_size", m.hidden_size, "width of the residual stream").above(0);
  section.field("num_hidden_layers", m.num_hidden_layers, "layers").above(0);
  section.field("num_attention_heads", m.num_attention_heads, "heads of queries").above(0);
  section.field("num_key_value_heads", m.num_key_value_heads, "heads of keys and values; 0: as many").at_least(0);
  section.field("head_dim", m.head_dim, "width of a head; 0: hidden_size / num_attention_heads").at_least(0);
  section.field("intermediate_size", m.intermediate_size, "width inside the MLP; 0: the family's").at_least(0);
  section.field("max_position_embeddings", m.max_position_embeddings, "longest sequence; 0: the family's").at_least(0);
  section.field("hidden_act", m.hidden_act, "activation in the MLP; empty: the family's");
  section.field("norm_eps", m.norm_eps, "added inside norms; 0: the family's").at_least(0);
  section.field("rope_theta", m.rope_theta, "base of rotary positions; 0: the family's").at_least(0);
  section.field("tie_word_embeddings", m.tie_word_embeddings, "whether the head is the table of tokens");
  section.field("attention_bias", m.attention_bias, "biases in attention");
  section.field("mlp_bias", m.mlp_bias, "biases in the MLP");
  section.field("initializer_range", m.initializer_range, "standard deviation of new weights").above(0);
  section.field("embd_pdrop", m.embd_pdrop, "dropout after the embedding").at_least(0).below(1);
  section.field("resid_pdrop", m.resid_pdrop, "dropout before the residual stream").at_least(0).below(1);
  section.field("bos_token_id", m.bos_token_id, "token that begins a text; -1: none").at_least(-1);
  section.field("eos_token_id", m.eos_token_id, "token that ends a text; -1: none").at_least(-1);
  section.field("partial_rotary_factor", m.partial_rotary_factor, "share of a head that is turned; 0: the family's")
      .between(0, 1);
  section.field("rope_local_base_freq", m.rope_local_base_freq, "rope_theta of layers with a window; 0: the family's")
      .at_least(0);
  section.section("rope_scaling", m.rope_scaling, "positions stretched beyond a first length");
  section.field("sliding_window", m.sliding_window, "tokens that one sees, itself included; 0: all").at_least(0);
  section.field("layer_types", m.layer_types, "full_attention or sliding_attention, a layer each; empty: the family's");
  section
      .field("attention_window", m.attention_window, "Longformer: tokens around one that it sees, a layer each, or one")
      .above(0);
  section.field("query_pre_attn_scalar", m.query_pre_attn_scalar, "scores are divided by its root; 0: the family's")
      .at_least(0);
  section.field("attn_logit_softcapping", m.attn_logit_softcapping, "bound of scores; 0: none").at_least(0);
  section.field("final_logit_softcapping", m.final_logit_softcapping, "bound of logits; 0: none").at_least(0);
  section.field("use_parallel_residual", m.use_parallel_residual, "attention and MLP read the same hidden rows");
  section.field("num_ln_in_parallel_attn", m.num_ln_in_parallel_attn, "norms before those two; 0: the family's")
      .between(0, 2);
  section.field("alibi", m.alibi, "biases by distance instead of rotary positions");
  section.field("do_layer_norm_before", m.do_layer_norm_before, "norms before attention and MLP, not behind");
  section.field("word_embed_proj_dim", m.word_embed_proj_dim, "width of the table of tokens; 0: hidden_size")
      .at_least(0);
  section.field("num_local_experts", m.num_local_experts, "MLPs of a layer to choose from; 0: the family's")
      .at_least(0);
  section.field("num_experts_per_tok", m.num_experts_per_tok, "of which a token goes through; 0: the family's")
      .at_least(0);
  section.check(m.head_dim > 0 || m.num_attention_heads == 0 || m.hidden_size % m.num_attention_heads == 0,
                "hidden_size ", m.hidden_size, " is no multiple of num_attention_heads ", m.num_attention_heads,
                "; set head_dim");
}

static void describe(Section& section, TokenizerSettings& t) {
  section.field("path", t.path, "tokenizer.json or its directory; empty: the copy beside the first corpus");
  section.field("kind", t.kind, "what `lathe tokenizer train` makes")
      .one_of({"gpt2", "cl100k", "words-bpe", "words", "characters"});
  section.field("vocab_size", t.vocab_size, "size to train it to; 0: the model's").at_least(0);
  section.field("min_frequency", t.min_frequency, "times a piece must occur to become a token").at_least(1);
  section.field("special_tokens", t.special_tokens, "tokens that are not text; the first ends a document");
}

static void describe(Section& section, CorpusSettings& c) {
  section.field("path", c.path, "directory of token shards that `lathe data prepare` writes").not_empty();
  section.field("weight", c.weight, "share of the rows; 0 for all corpora: by their sizes").at_least(0);
  section.field("text", c.text, "files, directories or globs that it is prepared from when it is not there");
  section.field("text_field", c.text_field, "JSON field or table column that holds the text");
  section.field("document_separator", c.document_separator, "cuts a txt file into documents; empty: a file is one");
  section.field("held_out", c.held_out, "share of the text that is kept for evaluation").at_least(0).below(1);
}

static void describe(Section& section, DataSettings& d) {
  section.choice("packing", d.packing, "whether attention crosses documents that share a row",
                 {{"concatenated", data::Packing::concatenated}, {"document", data::Packing::document}});
  section.list("corpus", d.corpora, "where the tokens come from");
}

static void describe(Section& section, OptimizerSettings& o) {
  AdamWSettings& a = o.adamw;
  section.field("learning_rate", a.learning_rate, "peak learning rate").above(0);
  section.field("beta1", a.beta1, "memory of the gradients' average").at_least(0).below(1);
  section.field("beta2", a.beta2, "memory of their squares' average").at_least(0).below(1);
  section.field("epsilon", a.epsilon, "added to the divisor").above(0);
  section.field("weight_decay", a.weight_decay, "of matrices, as a multiple of the learning rate").at_least(0);
  section.field("decay_embeddings", a.decay_embeddings, "whether tables of tokens and positions decay too");
  section.field("clip_norm", o.clip_norm, "largest norm of all gradients together; 0: any").at_least(0);
}

static void describe(Section& section, ScheduleSettings& s) {
  using Curve = ScheduleSettings::Curve;
  section.choice(
      "curve", s.curve, "how the learning rate falls",
      {{"cosine", Curve::cosine}, {"linear", Curve::linear}, {"constant", Curve::constant}, {"wsd", Curve::wsd}});
  section.field("warmup_steps", s.warmup_steps, "steps in which it rises").at_least(0);
  section.field("cooldown_steps", s.cooldown_steps, "wsd: last steps in which it falls; 0: a fifth").at_least(0);
  section.field("final_fraction", s.final_fraction, "of the peak, at the last step").between(0, 1);
}

static void describe(Section& section, TrainingSettings& t) {
  using Compute = TrainingSettings::Compute;
  using Checkpoint = TrainingSettings::Checkpoint;
  section.field("steps", t.steps, "updates of the weights").above(0);
  section.field("tokens", t.tokens, "instead of steps: tokens to train on; 0: as steps says").at_least(0);
  section.field("micro_batch", t.micro_batch, "sequences in one pass").above(0);
  section.field("accumulation", t.accumulation, "passes in one step").above(0);
  section.field("sequence_length", t.sequence_length, "tokens in a row; 0: max_position_embeddings").at_least(0);
  section.field("device", t.device, "auto: the first GPU, or the CPU where there is none; cpu, cuda, cuda:1")
      .not_empty();
  section.choice("dtype", t.dtype, "of the arithmetic; weights are kept in f32 always",
                 {{"auto", Compute::automatic}, {"f32", Compute::f32}, {"bf16", Compute::bf16}});
  section.choice("matmul", t.matmul, "what the layers' products of bf16 go through; fp8: E4M3, gradients E5M2",
                 {{"dtype", TrainingSettings::Matmul::dtype}, {"fp8", TrainingSettings::Matmul::fp8}});
  section.choice("checkpoint", t.checkpoint, "what backward computes again to save memory",
                 {{"none", Checkpoint::none}, {"selective", Checkpoint::selective}, {"block", Checkpoint::block}});
  section.field("seed", t.seed, "of weights, order of data, and dropout");
  const std::vector<std::pair<std::string, OnTrouble>> all = {
      {"stop", OnTrouble::stop}, {"skip", OnTrouble::skip}, {"ignore", OnTrouble::ignore}};
  section.choice("on_nan", t.on_nan, "when a loss or gradient is not finite", {all[0], all[1]});
  section.choice("on_spike", t.on_spike, "when a loss or gradient is far above its average", all);
  section.field("loss_spike", t.loss_spike, "a spike is a loss this many times its running average").above(1);
  section.field("norm_spike", t.norm_spike, "or a gradient norm this many times its own").above(1);
  section.field("loss_rows", t.loss_rows, "rows of logits that exist at a time; 0: chosen").at_least(0);
}

static void describe(Section& section, EvaluationSettings& e) {
  section.field("every", e.every, "steps; 0: only after the last").at_least(0);
  section.field("batches", e.batches, "of micro_batch sequences; 0: all that is held out").at_least(0);
}

static void describe(Section& section, SampleSettings& s) {
  section.field("every", s.every, "steps; 0: never").at_least(0);
  section.field("prompts", s.prompts, "what texts begin with");
  section.field("max_new_tokens", s.max_new_tokens, "length of a text").above(0);
  section.field("temperature", s.temperature, "0: the likeliest token always").at_least(0);
  section.field("top_p", s.top_p, "draw from the likeliest tokens of this share").above(0).at_most(1);
}

static void describe(Section& section, SaveSettings& s) {
  section.field("every", s.every, "steps; 0: only after the last, and when interrupted").at_least(0);
  section.field("keep_last", s.keep_last, "checkpoints to keep; 0: all").at_least(0);
}

static void describe(Section& section, LogSettings& l) {
  section.field("every", l.every, "steps from one progress line to the next; files hold every step").above(0);
  section.field("tensorboard", l.tensorboard, "whether to write event files for TensorBoard");
}

void describe(Section& section, JobSettings& job) {
  section.field("run", job.run, "directory of the run; empty: runs/ and the job's name");
  section.section("model", job.model, "shape of the model, in the words of Hugging Face's config.json");
  section.section("tokenizer", job.tokenizer, "how text becomes tokens");
  section.section("data", job.data, "what is trained on");
  section.section("optimizer", job.optimizer, "AdamW");
  section.section("schedule", job.schedule, "the learning rate over the run");
  section.section("training", job.training, "the steps");
  section.section("evaluation", job.evaluation, "loss on held-out text");
  section.section("sample", job.sample, "texts written during training");
  section.section("save", job.save, "checkpoints");
  section.section("log", job.log, "what is told");
}

}  // namespace lathe
