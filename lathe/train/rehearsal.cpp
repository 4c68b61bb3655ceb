#include "lathe/train/rehearsal.h"

#include <algorithm>

#include "lathe/train/snapshot.h"

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

RunRehearsal rehearse_run(const JobSettings& job, const SampleHook& sample, std::optional<Device> asked) {
  Device device = asked ? *asked : job.device();
  Runtime runtime(device.as_meta(), Runtime::kUnbounded);
  Trainer trainer(job);
  trainer.initialize();
  RunRehearsal run{.device = device};
  run.persistent = runtime.arena.use().reserved;
  run.by_purpose = runtime.arena.use().live_by_purpose;
  for (Parameter* parameter : trainer.inventory().parameters) {
    run.parameters += parameter->elements();
    run.largest_parameter = std::max(run.largest_parameter, parameter->kept.bytes());
  }
  std::vector<data::Batch> batches(size_t(job.training.accumulation), blank_batch(job));
  run.episodes.push_back({"step", rehearse([&] { trainer.step(batches, 0); })});
  run.episodes.push_back({"evaluation", rehearse([&] { trainer.score(batches.front()); })});
  if (sample) run.episodes.push_back({"sample", rehearse([&] { sample(trainer, 0); })});
  run.episodes.push_back({"save", rehearse([&] { run.checkpoint_bytes = snapshot_bytes(trainer); })});
  return run;
}

}  // namespace lathe
