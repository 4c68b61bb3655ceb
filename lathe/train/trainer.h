#pragma once

#include <memory>
#include <optional>
#include <span>

#include "lathe/optim/adamw.h"
#include "lathe/tensor/graphs.h"
#include "lathe/tensor/transfer.h"
#include "lathe/train/build.h"
#include "lathe/train/job.h"
#include "lathe/train/training_pass.h"

namespace lathe {

/// A model in training on the current Runtime, real or meta. The constructor takes all bytes that persist; step() and
/// score() are episodes, which end with the live set they began with and always make the same allocations, so that
/// they can be rehearsed on a meta Runtime and replayed at those places. One thread.
class Trainer {
 public:
  /// `job` must be resolved.
  explicit Trainer(const JobSettings& job);

  /// New weights, a function of the job's seed alone.
  void initialize();

  /// One update of the weights from `micro_batches`, as many as the job says. The loss is the mean over all targets of
  /// the step, however it is split.
  void step(std::span<const data::Batch> micro_batches, double learning_rate);
  /// What the last step() did; nothing on meta. Waits for it.
  std::optional<UpdateValues> last_update() const { return state_.read(); }
  /// The same, to be read when later steps run already.
  LateValue<UpdateValues> late_update() const { return LateValue<UpdateValues>(state_.values()); }

  /// Sum of -log p over the targets of `batch`, in nats; nothing on meta.
  std::optional<double> score(const data::Batch& batch);

  const JobSettings& job() const { return job_; }
  Model& model() { return *model_; }
  const Inventory& inventory() const { return inventory_; }
  AdamW& optimizer() { return *optimizer_; }
  UpdateState& state() { return state_; }

 private:
  void run_step(std::span<const data::Batch> micro_batches, double learning_rate);
  void pass_over(const data::Batch& batch);

  JobSettings job_;
  std::unique_ptr<Model> model_;
  Inventory inventory_;
  std::unique_ptr<AdamW> optimizer_;
  UpdateState state_;
  DeviceBatch batch_;
  Tensor scalars_;  ///< f32 [5]: the next five, side by side
  Tensor scale_, learning_rate_, loss_, sum_of_squares_, one_;
  TrainingPass pass_;
  ScoringPass scoring_;
  Graphs graphs_;
  bool stepped_ = false;
};

/// A batch of the shape that the job's micro-batches have, all zeros: for rehearsals.
data::Batch blank_batch(const JobSettings& job);

}  // namespace lathe
