#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>

#include "lathe/base/numbers.h"
#include "lathe/cli/command.h"
#include "lathe/cli/command_line.h"
#include "lathe/cli/training_samples.h"
#include "lathe/plan/timeline.h"
#include "lathe/train/advice.h"

namespace lathe::cli {
namespace {

using nlohmann::ordered_json;

constexpr const char* kHelp = R"(
Examples:
  lathe plan jobs/demo.toml
  lathe plan jobs/llama-70b.toml --budget 80GiB
  lathe plan jobs/llama-8b.toml --device h100
  lathe plan jobs/gpt2-124m.toml --set training.micro_batch=4 --set training.checkpoint=block --json)";

struct Options {
  std::string job, device, budget;
  std::vector<std::string> overrides;
  bool json = false;
};

ordered_json by_purpose(const BytesByPurpose& bytes) {
  ordered_json object = ordered_json::object();
  for (size_t i = 0; i < kPurposes; ++i) object[name_of(Purpose(i))] = bytes[i];
  return object;
}

ordered_json episode_json(const RunRehearsal::Episode& episode) {
  const Rehearsal& r = episode.rehearsal;
  return {{"peak", r.peak},
          {"reserved", r.placement.reserved},
          {"by_purpose", by_purpose(r.at_peak)},
          {"kernels", r.work.kernels},
          {"flops", r.work.flops},
          {"bytes_moved", r.work.bytes_moved}};
}

ordered_json timeline_json(const RunRehearsal& run) {
  ordered_json slices = ordered_json::array();
  for (const TimelineSlice& slice : timeline(run.of("step"), run.by_purpose, 100))
    slices.push_back({{"phase", slice.phase}, {"bytes", slice.total}, {"by_purpose", by_purpose(slice.live)}});
  return slices;
}

ordered_json advice_json(const Advice& advice) {
  return {{"set", advice.overrides}, {"bytes", advice.bytes}, {"estimated_slowdown", advice.slowdown}};
}

ordered_json device_json(const PlannedDevice& on) {
  ordered_json json = {{"backend", on.gpu() ? "cuda" : "cpu"}, {"here", on.here}};
  if (!on.gpu()) return json;
  json["name"] = on.profile.name;
  json["architecture"] = on.profile.architecture;
  json["source"] = on.profile.source;
  json["estimate"] = on.profile.estimate();
  json["context"] = on.profile.context;
  json["libraries"] = on.profile.libraries;
  return json;
}

ordered_json plan_json(const JobSettings& job, const TrainingPlan& plan, const SampleHook& sample) {
  ordered_json json = {{"parameters", plan.run.parameters},
                       {"tokens_per_step", job.tokens_per_step()},
                       {"steps", job.training.steps},
                       {"checkpoint_bytes", plan.run.checkpoint_bytes},
                       {"fits", plan.fits()},
                       {"budget", plan.on.budget},
                       {"needed", plan.needed()},
                       {"tensors", plan.run.capacity()},
                       {"loader", plan.host.batches},
                       {"process", plan.host.process},
                       {"kept", {{"bytes", plan.run.persistent}, {"by_purpose", by_purpose(plan.run.by_purpose)}}}};
  json["device"] = device_json(plan.on);
  if (plan.on.gpu())
    json["host"] = {{"budget", plan.on.host_budget}, {"needed", plan.host_needed()}, {"driver", plan.host.driver}};
  for (const auto& episode : plan.run.episodes) json["episodes"][episode.name] = episode_json(episode);
  json["model_flops_per_step"] = plan.run.model_flops(job);
  json["estimated_seconds_per_step"] = plan.seconds_per_step();
  json["ceilings"] = {{"flops_per_second", plan.ceilings.flops_per_second},
                      {"bytes_per_second", plan.ceilings.bytes_per_second}};
  json["timeline"] = timeline_json(plan.run);
  if (!plan.fits()) {
    Advised advised = advise(job, plan, sample);
    if (advised.fitting) json["advice"] = advice_json(*advised.fitting);
    json["least"] = advice_json(advised.least);
  }
  return json;
}

/// A job for another machine's GPU leaves this machine's out of account: what it leaves open is as that GPU has it.
JobSettings read_job_for(const PlannedDevice& on, const Options& options) {
  using Compute = TrainingSettings::Compute;
  std::vector<std::string> overrides = options.overrides;
  overrides.push_back("training.device=" + std::string(on.gpu() && on.here ? on.device.name() : "cpu"));
  auto asked = read_settings<JobSettings>(settings_file(options.job, overrides, JobSettings::kFormat));
  if (on.gpu() && asked.training.dtype == Compute::automatic)
    overrides.push_back(computes_in(on.profile, DType::bf16) ? "training.dtype=bf16" : "training.dtype=f32");
  return read_job(options.job, overrides);
}

int show_plan(const Options& options) {
  bool asked = !options.device.empty();
  PlannedDevice on =
      asked ? planned_on(options.device) : planned_here(read_job(options.job, options.overrides).device());
  if (!options.budget.empty()) on.budget = parse_bytes(options.budget, "--budget");
  JobSettings job = read_job_for(on, options);
  SampleHook sample = planned_samples(job);
  TrainingPlan plan = plan_training(job, on, sample);
  if (options.json) {
    std::cout << plan_json(job, plan, sample).dump(2) << '\n';
  } else {
    std::cout << plan_text(job, plan);
    if (!plan.fits()) std::cout << "\nDoes not fit. " << advice_text(advise(job, plan, sample)) << '\n';
  }
  return plan.fits() ? 0 : 1;
}

std::string known_names() {
  std::string names;
  for (const std::string& name : known_devices()) names += (names.empty() ? "" : ", ") + name;
  return names;
}

std::function<int()> declare(CommandLine app) {
  auto options = std::make_shared<Options>();
  app.add_option("job", options->job, "job file (TOML)").required();
  app.add_option("--set", options->overrides, "section.field=value, instead of what the job says").take_all();
  app.add_option("--device", options->device,
                 text("cpu, cuda or cuda:1 of this machine, instead of what the job says; or a GPU that need not be "
                      "here: ",
                      known_names(), ", or a profile that lathe bench wrote"))
      .type_name("DEVICE");
  app.add_option("--budget", options->budget,
                 "memory of the device that the run may take, as 8GiB; by default what is free, and of a GPU that is "
                 "not here all it has")
      .type_name("BYTES");
  app.add_flag("--json", options->json, "print the plan as JSON");
  app.footer(kHelp);
  return [options] { return show_plan(*options); };
}

const bool provided =
    provide_command({"plan", "Tell what a job needs, exactly, before anything is allocated", declare});

}  // namespace
}  // namespace lathe::cli
