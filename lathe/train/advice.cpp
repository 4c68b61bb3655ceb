#include "lathe/train/advice.h"

#include <algorithm>

#include "lathe/base/numbers.h"
#include "lathe/plan/kernel_rates.h"

namespace lathe {
namespace {

using Checkpoint = TrainingSettings::Checkpoint;
using Compute = TrainingSettings::Compute;

constexpr int64_t kFewLossRows = 64;
constexpr int64_t kShortestSequence = 128;

/// Sizes that a micro-batch can have so that whole ones make up the step, rising up to the job's own.
std::vector<int64_t> micro_batches(const JobSettings& job) {
  std::vector<int64_t> sizes;
  int64_t rows = job.training.micro_batch * job.training.accumulation;
  for (int64_t size = 1; size <= job.training.micro_batch; ++size)
    if (rows % size == 0) sizes.push_back(size);
  return sizes;
}

JobSettings with_micro_batch(JobSettings job, int64_t size) {
  job.training.accumulation = job.training.micro_batch * job.training.accumulation / size;
  job.training.micro_batch = size;
  return job;
}

JobSettings with_sequence(JobSettings job, int64_t length) {
  job.training.accumulation *= job.training.sequence_length / length;
  job.training.sequence_length = length;
  return job;
}

/// Lengths that the job's own is a multiple of, by halving.
std::vector<int64_t> shorter_sequences(const JobSettings& job) {
  std::vector<int64_t> lengths;
  for (int64_t length = job.training.sequence_length; length % 2 == 0 && length / 2 >= kShortestSequence;)
    lengths.push_back(length /= 2);
  return lengths;
}

/// Everything that saves memory without changing results but for rounding.
std::vector<JobSettings> savings(const JobSettings& job) {
  std::vector<JobSettings> all;
  for (Checkpoint checkpoint : {Checkpoint::none, Checkpoint::selective, Checkpoint::block})
    for (bool few_rows : {false, true}) {
      JobSettings other = job;
      other.training.checkpoint = std::max(checkpoint, job.training.checkpoint);
      if (few_rows) other.training.loss_rows = kFewLossRows;
      if (checkpoint >= job.training.checkpoint) all.push_back(other);
    }
  return all;
}

JobSettings smallest(const JobSettings& job) { return with_micro_batch(savings(job).back(), 1); }

/// The job's own first.
std::vector<JobSettings> in_both_dtypes(const JobSettings& job, const PlannedDevice& on) {
  std::vector<JobSettings> both = {job, job};
  both[1].training.dtype = job.compute() == DType::f32 ? Compute::bf16 : Compute::f32;
  both[1].training.matmul = TrainingSettings::Matmul::dtype;  // fp8 is for bf16 alone
  if (on.gpu() && !computes_in(on.profile, both[1].compute())) both.pop_back();
  return both;
}

struct Tried {
  JobSettings job;
  int64_t bytes = 0;
  bool fits = false;
  double seconds = 0;
};

class Search {
 public:
  Search(const JobSettings& job, const TrainingPlan& plan, const SampleHook& sample)
      : plan_(plan), sample_(sample), own_seconds_(plan.seconds_per_step()), own_(job) {}

  /// Memory and time from at most two micro-batches, since all later ones are as the second.
  Tried estimate(const JobSettings& job) const {
    JobSettings probe = job;
    probe.training.accumulation = std::min<int64_t>(job.training.accumulation, 2);
    TrainingPlan plan = plan_of(probe);
    plan.host = host_of(job, plan.run);
    double update = 0, passes = 0;
    for (const RehearsedPhase& phase : plan.run.of("step").phases)
      (phase.name == "update" ? update : passes) += seconds_of(phase, plan.estimate);
    double rounds = double(job.training.accumulation) / double(probe.training.accumulation);
    return {job, bytes_of(plan), plan.fits(), passes * rounds + update};
  }

  /// The cheapest of `job`'s savings that fits.
  std::optional<Advice> cheapest(const JobSettings& job) const {
    if (!estimate(smallest(job)).fits) return std::nullopt;
    std::vector<Tried> fitting;
    for (const JobSettings& saving : savings(job))
      if (std::optional<Tried> largest = largest_that_fits(saving)) fitting.push_back(*largest);
    std::sort(fitting.begin(), fitting.end(), [](const Tried& a, const Tried& b) { return a.seconds < b.seconds; });
    for (const Tried& tried : fitting) {
      TrainingPlan plan = plan_of(tried.job);
      if (plan.fits()) return advice({tried.job, bytes_of(plan), true, plan.seconds_per_step()});
    }
    return std::nullopt;
  }

  /// Of all settings, those that need the least.
  Tried least() const {
    std::vector<int64_t> lengths = shorter_sequences(own_);
    JobSettings shortest = smallest(lengths.empty() ? own_ : with_sequence(own_, lengths.back()));
    std::vector<Tried> tried;
    for (const JobSettings& typed : in_both_dtypes(shortest, plan_.on)) tried.push_back(estimate(typed));
    return *std::min_element(tried.begin(), tried.end(),
                             [](const Tried& a, const Tried& b) { return a.bytes < b.bytes; });
  }

  Advice advice(const Tried& tried) const { return {overrides(tried.job), tried.bytes, tried.seconds / own_seconds_}; }

 private:
  const TrainingPlan& plan_;
  const SampleHook& sample_;
  double own_seconds_;
  const JobSettings& own_;

  /// As plan_training() makes it, with this machine as it was measured then.
  TrainingPlan plan_of(const JobSettings& job) const {
    TrainingPlan plan{.run = rehearse_run(job, sample_, plan_.on.device),
                      .host = {},
                      .on = plan_.on,
                      .ceilings = plan_.ceilings,
                      .estimate = plan_.estimate};
    plan.host = host_of(job, plan.run);
    if (plan.on.gpu()) plan.estimate = at_rates(plan.on.profile, {job.compute(), job.model.head_dim});
    return plan;
  }

  /// With the process as it was when the plan was made, not as searching has left it.
  HostMemory host_of(const JobSettings& job, const RunRehearsal& run) const {
    HostMemory host = host_memory(job, run, plan_.on);
    host.process = plan_.host.process;
    return host;
  }

  /// Of the memory that the job's own plan lacks: the device's, or else the host's.
  int64_t bytes_of(const TrainingPlan& plan) const {
    return plan_.needed() > plan_.on.budget || !plan_.on.gpu() ? plan.needed() : plan.host_needed();
  }

  std::optional<Tried> largest_that_fits(const JobSettings& job) const {
    std::vector<int64_t> sizes = micro_batches(job);
    std::optional<Tried> best;
    size_t low = 0, high = sizes.size();  // memory rises with the micro-batch
    while (low < high) {
      size_t middle = (low + high) / 2;
      Tried tried = estimate(with_micro_batch(job, sizes[middle]));
      if (tried.fits)
        best = tried, low = middle + 1;
      else
        high = middle;
    }
    return best;
  }

  std::vector<std::string> overrides(const JobSettings& job) const {
    const TrainingSettings &before = own_.training, &after = job.training;
    const char* checkpoints[] = {"none", "selective", "block"};
    std::vector<std::string> all;
    auto changed = [&](const char* field, auto from, auto to, const auto& shown) {
      if (from != to) all.push_back(text("training.", field, "=", shown));
    };
    changed("sequence_length", before.sequence_length, after.sequence_length, after.sequence_length);
    changed("micro_batch", before.micro_batch, after.micro_batch, after.micro_batch);
    changed("accumulation", before.accumulation, after.accumulation, after.accumulation);
    changed("checkpoint", before.checkpoint, after.checkpoint, checkpoints[size_t(after.checkpoint)]);
    changed("loss_rows", before.loss_rows, after.loss_rows, after.loss_rows);
    changed("matmul", before.matmul, after.matmul, after.matmul == TrainingSettings::Matmul::fp8 ? "fp8" : "dtype");
    changed("dtype", before.dtype, after.dtype, name_of(job.compute()));
    return all;
  }
};

}  // namespace

std::string Advice::options() const {
  std::string line;
  for (const std::string& setting : overrides) line += (line.empty() ? "--set " : " --set ") + setting;
  return line;
}

Advised advise(const JobSettings& job, const TrainingPlan& plan, const SampleHook& sample) {
  Search search(job, plan, sample);
  Tried least = search.least();
  Advised advised{std::nullopt, search.advice(least)};
  if (!least.fits) return advised;
  std::vector<int64_t> lengths = shorter_sequences(job);
  lengths.insert(lengths.begin(), job.training.sequence_length);
  for (int64_t length : lengths)
    for (const JobSettings& typed : in_both_dtypes(with_sequence(job, length), plan.on))
      if ((advised.fitting = search.cheapest(typed))) return advised;
  return advised;
}

std::string advice_text(const Advised& advised) {
  if (const auto& advice = advised.fitting)
    return text("It would fit, in ", format_bytes(advice->bytes), ", with\n  ", advice->options(), "\nat an estimated ",
                format_fixed(advice->slowdown, 2), " times the time a step.");
  return text("No setting of micro_batch, sequence_length, dtype, checkpoint and loss_rows makes it fit: the least is ",
              format_bytes(advised.least.bytes), ", with\n  ", advised.least.options(),
              "\nIt takes a smaller model or more memory.");
}

}  // namespace lathe
