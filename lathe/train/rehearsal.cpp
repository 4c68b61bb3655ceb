#include "lathe/train/rehearsal.h"

#include <algorithm>

#include "lathe/base/numbers.h"

namespace lathe {

int64_t RunRehearsal::capacity() const {
  int64_t most = 0;
  for (const Episode& episode : episodes) most = std::max(most, episode.rehearsal.placement.reserved);
  return persistent + most;
}

const RunRehearsal::Episode& RunRehearsal::largest() const {
  return *std::max_element(episodes.begin(), episodes.end(),
                           [](const Episode& a, const Episode& b) { return a.rehearsal.peak < b.rehearsal.peak; });
}

const Rehearsal& RunRehearsal::of(const std::string& name) const {
  for (const Episode& episode : episodes)
    if (episode.name == name) return episode.rehearsal;
  throw InternalError(text("no episode ", name, " was rehearsed"));
}

int64_t RunRehearsal::model_flops(const JobSettings& job) const {
  return 3 * of("evaluation").work.flops * job.training.accumulation;
}

RunRehearsal rehearse_run(const JobSettings& job, const SampleHook& sample, Device device) {
  Runtime runtime(device.as_meta(), Runtime::kUnbounded);
  Trainer trainer(job);
  trainer.initialize();
  RunRehearsal run;
  run.persistent = runtime.arena.use().reserved;
  run.by_purpose = runtime.arena.use().live_by_purpose;
  for (Parameter* parameter : trainer.inventory().parameters) run.parameters += parameter->kept.elements();
  std::vector<data::Batch> batches(size_t(job.training.accumulation), blank_batch(job));
  run.episodes.push_back({"step", rehearse([&] { trainer.step(batches, 0); })});
  run.episodes.push_back({"evaluation", rehearse([&] { trainer.score(batches.front()); })});
  if (sample) run.episodes.push_back({"sample", rehearse([&] { sample(trainer, 0); })});
  return run;
}

std::string memory_table(const RunRehearsal& run) {
  std::string table = text("memory ", format_bytes(run.capacity()), ", at its peak in a ", run.largest().name, ":\n",
                           table_of(run.largest().rehearsal.at_peak));
  return table;
}

void require_fits(const JobSettings& job, const RunRehearsal& run, int64_t budget) {
  if (run.capacity() <= budget) return;
  std::string way_out = "a smaller model";
  using Checkpoint = TrainingSettings::Checkpoint;
  if (job.training.micro_batch > 1)
    way_out = "a smaller training.micro_batch with more training.accumulation";
  else if (job.training.checkpoint != Checkpoint::block)
    way_out = "training.checkpoint = \"block\"";
  else if (job.compute() == DType::f32)
    way_out = "training.dtype = \"bf16\"";
  throw Error(text("the run needs ", format_bytes(run.capacity()), " but ", format_bytes(budget),
                   " are available here; try ", way_out, "\n", memory_table(run)));
}

}  // namespace lathe
