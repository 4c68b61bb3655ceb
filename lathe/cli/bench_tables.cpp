#include "lathe/cli/bench_tables.h"

#include <algorithm>

#include "lathe/base/numbers.h"
#include "lathe/base/text_table.h"

namespace lathe::cli {
namespace {

std::string giga(double rate) { return format_fixed(rate / 1e9, 1); }

/// Finer than format_duration, for what takes a GPU less than a second.
std::string duration(double seconds) {
  return seconds < 1 ? format_fixed(seconds * 1e3, seconds < 0.1 ? 2 : 0) + " ms" : format_duration(seconds);
}

std::string percent(double share, int digits) { return format_fixed(100 * share, digits) + "%"; }

std::string shape_text(const JobSettings& job) {
  const TrainingSettings& t = job.training;
  return text(name_of(job.compute()), ", ", t.accumulation, " x ", t.micro_batch, " x ", t.sequence_length,
              " tokens of ", job.model.model_type, ", ", job.model.num_hidden_layers, " layers of ",
              job.model.hidden_size);
}

}  // namespace

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
    table.add({k.name, format_count(k.calls), duration(k.seconds), percent(k.seconds / p.step.seconds, 1),
               giga(double(k.flops) / k.seconds), giga(double(k.bytes) / k.seconds), percent(k.share(), 0)});
  }
  table.add(
      {others.name, format_count(others.calls), duration(others.seconds), percent(others.seconds / p.step.seconds, 1)});
  bool apart = inside > p.step.seconds;  // on a GPU, kernels that are timed one by one take longer than the step
  if (!apart)
    table.add({"outside kernels", "", duration(p.step.seconds - inside), percent(1 - inside / p.step.seconds, 1)});
  std::string estimate;
  if (p.estimate > 0)
    estimate = text("; lathe plan estimates ", duration(p.estimate), " (", percent(p.estimate / p.step.seconds - 1, 1),
                    ")", apart ? "; timed one by one, its kernels take " + duration(inside) : "");
  return text("\nA training step in ", shape_text(p.job), ": ", duration(p.step.seconds), ", ",
              format_count(int64_t(double(p.step.tokens) / p.step.seconds)), " tokens/s, FLOP use ",
              percent(p.step.flop_use(p.ceilings), 0), estimate, "\n", table.text());
}

std::string cpu_text(const std::vector<Profiled>& steps, double read_rate) {
  TextTable ceilings;
  double copy_rate = 0;
  for (const Profiled& p : steps) {
    ceilings.add({text("multiply-adds in registers, ", name_of(p.job.compute())),
                  giga(p.ceilings.flops_per_second) + " GFLOP/s"});
    copy_rate = std::max(copy_rate, p.ceilings.bytes_per_second);
  }
  ceilings.add({"copying, read and written", giga(copy_rate) + " GB/s"});
  ceilings.add({"reading", giga(read_rate) + " GB/s"});
  return text("This machine at best:\n", ceilings.text());
}

std::string gpu_text(const std::string& name, const GpuCeilings& ceilings) {
  TextTable table;
  for (const GpuCeilings::Product& product : ceilings.products)
    table.add({text("products by cuBLASLt, ", name_of(product.dtype), ", ", product.size, " x ", product.size),
               format_fixed(product.tflops, 1) + " TFLOP/s"});
  table.add({"copying, read and written", format_fixed(ceilings.gigabytes_per_second, 0) + " GB/s"});
  table.add({"launch of a kernel in a graph", format_fixed(ceilings.launch_microseconds, 2) + " us"});
  return text(name, " at best:\n", table.text());
}

std::string fit_text(const DeviceFit& fit) {
  TextTable steps;
  steps.add({"steps that the profile was fitted to", "measured", "estimate", "off"});
  for (const FittedStep& step : fit.steps)
    steps.add({text(shape_text(step.job), ", heads of ", step.job.model.head_dim), duration(step.seconds),
               duration(step.estimate), percent(step.estimate / step.seconds - 1, 1)});
  return text("\n", steps.text(), "\nOutside the arena: ", format_bytes(fit.profile.context), " of context, ",
              format_bytes(fit.profile.libraries), " of kernels and libraries\n");
}

}  // namespace lathe::cli
