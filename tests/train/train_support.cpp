#include "tests/train/train_support.h"

#include "lathe/base/threads.h"

namespace lathe::test {

JobSettings small_job(const std::string& model_type) {
  set_threads(1);  // at this size, threads would wait for each other longer than they work
  JobSettings job;
  job.model.model_type = model_type;
  job.model.vocab_size = 96;
  job.model.hidden_size = 32;
  job.model.num_hidden_layers = 2;
  job.model.num_attention_heads = 4;
  job.model.max_position_embeddings = 16;
  job.training.device = "cpu";
  job.training.dtype = TrainingSettings::Compute::f32;
  job.training.micro_batch = 4;
  job.training.steps = 100;
  job.optimizer.adamw.learning_rate = 1e-2;
  return resolved(job);
}

data::Batch random_batch(const JobSettings& job, uint64_t number) {
  data::Batch batch = blank_batch(job);
  Random random = Random(7).fork(number);
  for (size_t i = 0; i < batch.tokens.size(); ++i) {
    batch.tokens[i] = int32_t(random.bits(i) % uint32_t(job.model.vocab_size));
    batch.targets[i] = int32_t(random.bits(i + 100000) % uint32_t(job.model.vocab_size));
  }
  for (int64_t& id : batch.sequence_ids) id += int64_t(number) * int64_t(batch.tokens.size());
  return batch;
}

std::vector<float> weights_of(Trainer& trainer) {
  std::vector<float> weights;
  for (Parameter* parameter : trainer.inventory().parameters) {
    const float* from = parameter->kept.data<float>();
    weights.insert(weights.end(), from, from + parameter->kept.elements());
  }
  return weights;
}

}  // namespace lathe::test
