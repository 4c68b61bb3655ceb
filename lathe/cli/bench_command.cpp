#include <algorithm>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>

#include "lathe/base/build_info.h"
#include "lathe/base/durable_file.h"
#include "lathe/base/isa.h"
#include "lathe/base/threads.h"
#include "lathe/cli/bench_tables.h"
#include "lathe/cli/command.h"
#include "lathe/cli/command_line.h"
#include "lathe/plan/ceilings.h"
#include "lathe/tensor/device_choice.h"
#include "lathe/train/training_plan.h"

namespace lathe::cli {
namespace {

using nlohmann::ordered_json;

constexpr const char* kHelp = R"(
Examples:
  lathe bench
  lathe bench jobs/demo.toml --set training.dtype=f32 --json
  lathe bench jobs/gpt2-124m.toml --device cuda
  lathe bench --device cuda --profile my-gpu.toml)";

struct Options {
  std::string job, device = "auto", profile;
  std::vector<std::string> overrides;
  bool json = false;
};

/// Measures the ceilings before and after: other programs make arithmetic look slower, and memory faster, because each
/// thread then has it to itself for a while.
Profiled profile(const JobSettings& job) {
  Ceilings before = measured_ceilings(job.compute());
  StepProfile step = profile_step(job, before);
  Ceilings after = measured_ceilings(job.compute());
  Ceilings best{std::max(before.flops_per_second, after.flops_per_second),
                std::min(before.bytes_per_second, after.bytes_per_second)};
  return {job, best, step};
}

Profiled profile(const JobSettings& job, const GpuCeilings& ceilings, const DeviceProfile& known) {
  CallSeconds estimate = at_rates(known, {job.compute(), job.model.head_dim});
  return {job, ceilings.of(job.compute()), profile_step(job, ceilings.of(job.compute())),
          estimated_step_seconds(job, estimate)};
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
  ordered_json step = {{"dtype", name_of(p.job.compute())},
                       {"flops_per_second", p.ceilings.flops_per_second},
                       {"bytes_per_second", p.ceilings.bytes_per_second},
                       {"tokens", p.step.tokens},
                       {"seconds", p.step.seconds},
                       {"flop_use", p.step.flop_use(p.ceilings)},
                       {"kernels", kernels}};
  if (p.estimate > 0) step["estimated_seconds"] = p.estimate;
  return step;
}

ordered_json steps_json(const std::vector<Profiled>& all) {
  ordered_json steps = ordered_json::array();
  for (const Profiled& p : all) steps.push_back(step_json(p));
  return steps;
}

void print_steps(const std::vector<Profiled>& all) {
  for (const Profiled& p : all) std::cout << step_text(p);
}

/// The job that was named, or two layers of GPT-2 in each dtype.
std::vector<JobSettings> jobs_of(const Options& options, Device device) {
  std::vector<std::string> overrides = options.overrides;
  overrides.push_back("training.device=" + options.device);
  if (!options.job.empty()) return {read_job(options.job, overrides)};
  return {profiled_job(DType::f32, device), profiled_job(DType::bf16, device)};
}

int bench_cpu(const Options& options) {
  std::vector<Profiled> all;
  for (const JobSettings& job : jobs_of(options, {})) all.push_back(profile(job));
  double read_rate = measured_read_rate();
  if (options.json) {
    ordered_json result = {{"version", build_info().version},
                           {"instruction_set", isa_name(isa())},
                           {"threads", threads()},
                           {"read_bytes_per_second", read_rate},
                           {"steps", steps_json(all)}};
    std::cout << result.dump(2) << '\n';
    return 0;
  }
  std::cout << version_text() << "\n\n" << cpu_text(all, read_rate);
  print_steps(all);
  return 0;
}

ordered_json gpu_json(const DeviceProfile& profile, const GpuCeilings& ceilings) {
  ordered_json products = ordered_json::array();
  for (const GpuCeilings::Product& product : ceilings.products)
    products.push_back({{"dtype", name_of(product.dtype)}, {"size", product.size}, {"tflops", product.tflops}});
  return {{"name", profile.name},
          {"architecture", profile.architecture},
          {"products", products},
          {"gigabytes_per_second", ceilings.gigabytes_per_second},
          {"launch_microseconds", ceilings.launch_microseconds}};
}

/// Fits a profile of the GPU, writes it, and returns it.
DeviceProfile written_profile(const Options& options, Device device, const GpuCeilings& ceilings) {
  DeviceFit fit = fitted_profile(device, ceilings);
  replace_file(options.profile, print_device_profile(fit.profile));
  if (!options.json)
    std::cout << fit_text(fit) << "written to " << options.profile << "; lathe plan --device " << options.profile
              << " plans by it\n";
  return fit.profile;
}

int bench_gpu(const Options& options, Device device) {
  GpuCeilings ceilings = measured_gpu_ceilings(device);
  DeviceProfile known = planned_here(device).profile;
  if (!options.json) std::cout << version_text() << "\n\n" << gpu_text(known.name, ceilings);
  if (!options.profile.empty()) known = written_profile(options, device, ceilings);
  std::vector<Profiled> all;
  for (const JobSettings& job : jobs_of(options, device))
    if (computes_in(known, job.compute())) all.push_back(profile(job, ceilings, known));
  if (options.json)
    std::cout << ordered_json{{"version", build_info().version},
                              {"gpu", gpu_json(known, ceilings)},
                              {"steps", steps_json(all)}}
                     .dump(2)
              << '\n';
  else
    print_steps(all);
  return 0;
}

int bench(const Options& options) {
  Device device = choose_device(options.device);
  if (device.backend == Backend::cuda) return bench_gpu(options, device);
  require(options.profile.empty(), "--profile is of a GPU, and this is a CPU, which every plan measures anew");
  return bench_cpu(options);
}

std::function<int()> declare(CommandLine app) {
  auto options = std::make_shared<Options>();
  app.add_option("job", options->job, "job file whose step is measured; two layers of GPT-2 by default");
  app.add_option("--set", options->overrides, "section.field=value, instead of what the job says")
      .take_all()
      .needs("job");
  app.add_option("--device", options->device, "auto (default: a GPU where there is one), cpu, cuda or cuda:1");
  app.add_option("--profile", options->profile,
                 "measure the GPU's kernels on many shapes, and write what lathe plan --device needs to know of it")
      .type_name("FILE");
  app.add_flag("--json", options->json, "print the numbers as JSON");
  app.footer(kHelp);
  return [options] { return bench(*options); };
}

const bool provided =
    provide_command({"bench", "Measure this machine, and what share of it lathe's kernels reach", declare});

}  // namespace
}  // namespace lathe::cli
