#include <filesystem>

#include "lathe/models/family.h"
#include "lathe/tensor/device_choice.h"
#include "lathe/train/job.h"

namespace lathe {
namespace {

std::string absolute(const std::string& path) {
  return path.empty() ? path : std::filesystem::absolute(path).lexically_normal().string();
}

void require_consistent(const JobSettings& job) {
  const TrainingSettings& t = job.training;
  require(t.sequence_length <= job.model.max_position_embeddings, "training.sequence_length ", t.sequence_length,
          " is above model.max_position_embeddings ", job.model.max_position_embeddings);
  require(job.schedule.warmup_steps < t.steps, "schedule.warmup_steps ", job.schedule.warmup_steps,
          " must be below training.steps ", t.steps);
  require(job.schedule.warmup_steps + job.schedule.cooldown_steps <= t.steps, "schedule.warmup_steps ",
          job.schedule.warmup_steps, " and schedule.cooldown_steps ", job.schedule.cooldown_steps,
          " together are above training.steps ", t.steps);
  const int64_t most = int64_t{1} << 24;
  require(t.micro_batch < most && t.sequence_length < most && job.tokens_per_micro_batch() < most,
          "training.micro_batch ", t.micro_batch, " x training.sequence_length ", t.sequence_length,
          " is 2^24 tokens or more in one pass; raise training.accumulation instead");
  require(t.matmul != TrainingSettings::Matmul::fp8 || job.compute() == DType::bf16,
          "training.matmul = \"fp8\" needs training.dtype = \"bf16\", not ", name_of(job.compute()));
  require(job.model.bos_token_id < job.model.vocab_size && job.model.eos_token_id < job.model.vocab_size,
          "model.bos_token_id ", job.model.bos_token_id, " and model.eos_token_id ", job.model.eos_token_id,
          " must be below model.vocab_size ", job.model.vocab_size);
}

}  // namespace

DType JobSettings::compute() const {
  return training.dtype == TrainingSettings::Compute::bf16 ? DType::bf16 : DType::f32;
}

Device JobSettings::device() const { return choose_device(training.device); }

JobSettings resolved(JobSettings job) {
  job.model = completed(job.model);
  require(family_named(job.model.model_type).reading == Reading::decoder, "model.model_type ", job.model.model_type,
          ": training predicts a text token after token, which its models do not; gpt2, llama and the like do");
  TrainingSettings& t = job.training;
  if (t.sequence_length == 0) t.sequence_length = job.model.max_position_embeddings;
  if (t.dtype == TrainingSettings::Compute::automatic)
    t.dtype =
        default_compute(job.device()) == DType::bf16 ? TrainingSettings::Compute::bf16 : TrainingSettings::Compute::f32;
  if (t.tokens > 0) t.steps = (t.tokens + job.tokens_per_step() - 1) / job.tokens_per_step();
  job.run = absolute(job.run);
  job.tokenizer.path = absolute(job.tokenizer.path);
  for (CorpusSettings& corpus : job.data.corpora) {
    corpus.path = absolute(corpus.path);
    for (std::string& text : corpus.text) text = absolute(text);
  }
  require_consistent(job);
  return job;
}

JobSettings read_job(const std::string& path, const std::vector<std::string>& overrides) {
  JobSettings job = read_settings<JobSettings>(settings_file(path, overrides, JobSettings::kFormat));
  if (job.run.empty()) job.run = "runs/" + std::filesystem::path(path).stem().string();
  try {
    return resolved(std::move(job));
  } catch (const Error& error) {
    throw Error(text(path, ": ", error.what()));
  }
}

void require_same_run(const JobSettings& saved, const JobSettings& resumed) {
  auto same = [](const char* field, const auto& before, const auto& after) {
    require(before == after, field, " is ", after, " but the run was started with ", before,
            "; it cannot change when a run is resumed: start another run");
  };
  const ModelConfig &a = saved.model, &b = resumed.model;
  same("model.model_type", a.model_type, b.model_type);
  same("model.vocab_size", a.vocab_size, b.vocab_size);
  same("model.hidden_size", a.hidden_size, b.hidden_size);
  same("model.num_hidden_layers", a.num_hidden_layers, b.num_hidden_layers);
  same("model.num_attention_heads", a.num_attention_heads, b.num_attention_heads);
  same("model.num_key_value_heads", a.num_key_value_heads, b.num_key_value_heads);
  same("model.head_dim", a.head_dim, b.head_dim);
  same("model.intermediate_size", a.intermediate_size, b.intermediate_size);
  same("model.max_position_embeddings", a.max_position_embeddings, b.max_position_embeddings);
  same("model.tie_word_embeddings", a.tie_word_embeddings, b.tie_word_embeddings);
  same("model.attention_bias", a.attention_bias, b.attention_bias);
  same("model.mlp_bias", a.mlp_bias, b.mlp_bias);
  same("training.sequence_length", saved.training.sequence_length, resumed.training.sequence_length);
  same("training.micro_batch x accumulation", saved.training.micro_batch * saved.training.accumulation,
       resumed.training.micro_batch * resumed.training.accumulation);
  same("training.seed", saved.training.seed, resumed.training.seed);
}

}  // namespace lathe
