#include <CLI/CLI.hpp>
#include <algorithm>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>

#include "lathe/base/build_info.h"
#include "lathe/base/isa.h"
#include "lathe/base/numbers.h"
#include "lathe/base/text_table.h"
#include "lathe/base/threads.h"
#include "lathe/cli/command.h"
#include "lathe/plan/ceilings.h"
#include "lathe/train/step_profile.h"

namespace lathe::cli {
namespace {

using nlohmann::ordered_json;

constexpr const char* kHelp = R"(
Examples:
  lathe bench
  lathe bench jobs/demo.toml --set training.dtype=f32 --json)";

struct Options {
  std::string job;
  std::vector<std::string> overrides;
  bool json = false;
};

struct Profiled {
  JobSettings job;
  Ceilings ceilings;
  StepProfile step;
};

/// Measures the ceilings before and after: other programs make arithmetic look slower, and memory faster, because each
/// thread then has it to itself for a while.
Profiled profile(const JobSettings& job) {
  Ceilings before = measured_ceilings(job.compute());
  StepProfile step = profile_step(job, before);
  Ceilings after = measured_ceilings(job.compute());
  return {job,
          {std::max(before.flops_per_second, after.flops_per_second),
           std::min(before.bytes_per_second, after.bytes_per_second)},
          step};
}

std::string giga(double rate) { return format_fixed(rate / 1e9, 1); }

std::string step_text(const Profiled& p) {
  constexpr double kShown = 0.005;  // of the step's time
  TextTable table;
  table.add({"kernel", "calls", "time", "of the step", "GFLOP/s", "GB/s", "of the ceiling"});
  KernelTime others{.name = "others"};
  double inside = 0;
  for (const KernelTime& k : p.step.kernels) {
    inside += k.seconds;
    if (k.seconds < kShown * p.step.seconds) {
      others.calls += k.calls, others.seconds += k.seconds;
      continue;
    }
    table.add({k.name, format_count(k.calls), format_duration(k.seconds),
               format_fixed(100 * k.seconds / p.step.seconds, 1) + "%", giga(double(k.flops) / k.seconds),
               giga(double(k.bytes) / k.seconds), format_fixed(100 * k.share(), 0) + "%"});
  }
  table.add({others.name, format_count(others.calls), format_duration(others.seconds),
             format_fixed(100 * others.seconds / p.step.seconds, 1) + "%"});
  table.add({"outside kernels", "", format_duration(p.step.seconds - inside),
             format_fixed(100 * (1 - inside / p.step.seconds), 1) + "%"});
  const TrainingSettings& t = p.job.training;
  return text("\nA training step in ", name_of(p.job.compute()), ", ", t.accumulation, " x ", t.micro_batch, " x ",
              t.sequence_length, " tokens of ", p.job.model.model_type, ", ", p.job.model.num_hidden_layers,
              " layers of ", p.job.model.hidden_size, ": ", format_duration(p.step.seconds), ", ",
              format_count(int64_t(double(p.step.tokens) / p.step.seconds)), " tokens/s, FLOP use ",
              format_fixed(100 * p.step.flop_use(p.ceilings), 0), "%\n", table.text());
}

std::string all_text(const std::vector<Profiled>& all, double read_rate) {
  TextTable ceilings;
  double copy_rate = 0;
  for (const Profiled& p : all) {
    ceilings.add({text("multiply-adds in registers, ", name_of(p.job.compute())),
                  giga(p.ceilings.flops_per_second) + " GFLOP/s"});
    copy_rate = std::max(copy_rate, p.ceilings.bytes_per_second);
  }
  ceilings.add({"copying, read and written", giga(copy_rate) + " GB/s"});
  ceilings.add({"reading", giga(read_rate) + " GB/s"});
  std::string shown = text(version_text(), "\n\nThis machine at best:\n", ceilings.text());
  for (const Profiled& p : all) shown += step_text(p);
  return shown;
}

ordered_json step_json(const Profiled& p) {
  ordered_json kernels = ordered_json::array();
  for (const KernelTime& k : p.step.kernels)
    kernels.push_back({{"name", k.name},
                       {"calls", k.calls},
                       {"seconds", k.seconds},
                       {"flops", k.flops},
                       {"bytes", k.bytes},
                       {"share_of_ceiling", k.share()}});
  return {{"dtype", name_of(p.job.compute())},
          {"flops_per_second", p.ceilings.flops_per_second},
          {"bytes_per_second", p.ceilings.bytes_per_second},
          {"tokens", p.step.tokens},
          {"seconds", p.step.seconds},
          {"flop_use", p.step.flop_use(p.ceilings)},
          {"kernels", kernels}};
}

int bench(const Options& options) {
  std::vector<Profiled> all;
  if (!options.job.empty()) {
    all.push_back(profile(read_job(options.job, options.overrides)));
  } else {
    for (DType dtype : {DType::f32, DType::bf16}) all.push_back(profile(profiled_job(dtype)));
  }
  double read_rate = measured_read_rate();
  if (!options.json) {
    std::cout << all_text(all, read_rate);
    return 0;
  }
  ordered_json steps = ordered_json::array();
  for (const Profiled& p : all) steps.push_back(step_json(p));
  ordered_json result = {{"version", build_info().version},
                         {"instruction_set", isa_name(isa())},
                         {"threads", threads()},
                         {"read_bytes_per_second", read_rate},
                         {"steps", steps}};
  std::cout << result.dump(2) << '\n';
  return 0;
}

std::function<int()> declare(CLI::App& app) {
  auto options = std::make_shared<Options>();
  auto* job = app.add_option("job", options->job, "job file whose step is measured; two layers of GPT-2 by default");
  app.add_option("--set", options->overrides, "section.field=value, instead of what the job says")
      ->take_all()
      ->needs(job);
  app.add_flag("--json", options->json, "print the numbers as JSON");
  app.footer(kHelp);
  return [options] { return bench(*options); };
}

const bool provided =
    provide_command({"bench", "Measure this machine, and what share of it lathe's kernels reach", declare});

}  // namespace
}  // namespace lathe::cli
