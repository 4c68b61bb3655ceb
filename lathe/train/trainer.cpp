#include "lathe/train/trainer.h"

#include <numeric>
#include <utility>

#include "lathe/ops/matmul_choices.h"
#include "lathe/optim/gradient_squares.h"
#include "lathe/tensor/sum.h"
#include "lathe/tensor/tape.h"

namespace lathe {
namespace {

UpdateRule update_rule(const JobSettings& job) {
  UpdateRule rule{.beta1 = float(job.optimizer.adamw.beta1),
                  .beta2 = float(job.optimizer.adamw.beta2),
                  .clip_norm = float(job.optimizer.clip_norm)};
  if (job.training.on_spike != OnTrouble::ignore) {
    rule.loss_spike = float(job.training.loss_spike);
    rule.norm_spike = float(job.training.norm_spike);
  }
  rule.not_finite_stops = job.training.on_nan == OnTrouble::stop;
  rule.spike_stops = job.training.on_spike == OnTrouble::stop;
  return rule;
}

/// What the stretches of work are known by to the Trainer's graphs.
enum class Stretch : int64_t { step, score };
constexpr int kStepsInFlight = 2;

int64_t loss_rows(const JobSettings& job) {
  int64_t asked = job.training.loss_rows;
  return asked > 0 ? asked
                   : rows_of_loss_chunk(Runtime::current().device, job.model.vocab_size, job.tokens_per_micro_batch());
}

Tensor scalars() {
  PurposeScope scope(Purpose::workspace);
  return Tensor::empty({5});
}

void set(Tensor& scalar, double value) {
  float single = float(value);
  upload(std::span<const float>(&single, 1), scalar);
}

}  // namespace

Trainer::Trainer(const JobSettings& job)
    : job_(job),
      model_(build_model(job)),
      inventory_(model_->inventory()),
      optimizer_(std::make_unique<AdamW>(job.optimizer.adamw, inventory_)),
      state_(update_rule(job)),
      batch_(job.tokens_per_micro_batch(), job.training.sequence_length, job.data.packing),
      scalars_(scalars()),
      scale_(scalars_.rows(0, 1)),
      learning_rate_(scalars_.rows(1, 1)),
      loss_(scalars_.rows(2, 1)),
      sum_of_squares_(scalars_.rows(3, 1)),
      one_(scalars_.rows(4, 1)),
      pass_(batch_, scale_, Random(job.training.seed).fork("dropout"), job.model.vocab_size, loss_rows(job)),
      scoring_(batch_, one_, Random(), job.model.vocab_size, loss_rows(job)),
      graphs_(kStepsInFlight) {
  set(one_, 1);
}

void Trainer::initialize() {
  Random random = Random(job_.training.seed).fork("weights");
  for (Parameter* parameter : inventory_.parameters) {
    lathe::initialize(*parameter, random);
    parameter->refresh();
  }
}

void Trainer::step(std::span<const data::Batch> micro_batches, double learning_rate) {
  std::optional<MeasureProducts> measuring;
  if (!std::exchange(stepped_, true)) measuring.emplace();
  graphs_.run(int64_t(Stretch::step), [&] { run_step(micro_batches, learning_rate); });
}

void Trainer::run_step(std::span<const data::Batch> micro_batches, double learning_rate) {
  int64_t targets = 0;
  for (const data::Batch& batch : micro_batches) targets += batch.target_count;
  set(scale_, 1.0 / double(std::max<int64_t>(targets, 1)));
  set(learning_rate_, learning_rate);
  set(loss_, 0);
  for (Parameter* parameter : inventory_.parameters) parameter->begin_step(int64_t(micro_batches.size()));
  for (const data::Batch& batch : micro_batches) pass_over(batch);
  begin_phase("update");
  std::vector<Tensor> gradients;
  for (Parameter* parameter : inventory_.parameters) {
    if (!parameter->trained()) continue;
    parameter->finish_step();
    gradients.push_back(parameter->gradient);
  }
  gradient_squares(gradients, sum_of_squares_);
  state_.decide(loss_, sum_of_squares_, learning_rate_);
  optimizer_->update(state_);
  if (micro_batches.size() > 1) return;  // gradients keep the bytes that build_model() gave them
  for (Parameter* parameter : inventory_.parameters) parameter->end_step();
}

void Trainer::pass_over(const data::Batch& batch) {
  begin_phase("forward");
  batch_.load(batch);
  Tape tape;
  Tensor loss;
  {
    Recording recording(&tape);
    loss = model_->forward(pass_);
  }
  accumulate(loss, loss_);
  begin_phase("backward");
  tape.backward(loss, one_);
}

std::optional<double> Trainer::score(const data::Batch& batch) {
  Tensor loss;
  graphs_.run(int64_t(Stretch::score), [&] {
    batch_.load(batch);
    Recording paused(nullptr);
    loss = model_->forward(scoring_);
  });
  return read_value<float>(loss);
}

data::Batch blank_batch(const JobSettings& job) {
  data::Batch batch;
  int64_t tokens = job.tokens_per_micro_batch(), length = job.training.sequence_length;
  batch.sequence_length = length;
  batch.tokens.assign(size_t(tokens), 0);
  batch.targets.assign(size_t(tokens), 0);
  batch.positions.resize(size_t(tokens));
  batch.target_count = tokens;
  for (int64_t row = 0; row < job.training.micro_batch; ++row) {
    batch.sequence_offsets.push_back(int32_t(row * length));
    batch.sequence_ids.push_back(row * length);
    std::iota(batch.positions.begin() + row * length, batch.positions.begin() + (row + 1) * length, 0);
  }
  batch.sequence_offsets.push_back(int32_t(tokens));
  return batch;
}

}  // namespace lathe
