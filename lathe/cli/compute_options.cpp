#include "lathe/cli/compute_options.h"

#include <CLI/CLI.hpp>

#include "lathe/tensor/device_choice.h"

namespace lathe::cli {

void declare_compute(CLI::App& app, ComputeOptions& options) {
  app.add_option("--device", options.device, "auto: the first GPU, or the CPU where there is none; cpu, cuda, cuda:1")
      ->capture_default_str();
  app.add_option("--dtype", options.dtype, "of weights, cache and arithmetic; auto: bf16 where it is fast")
      ->check(CLI::IsMember({"auto", "f32", "bf16"}))
      ->capture_default_str();
}

DType dtype_of(const ComputeOptions& options, Device device) {
  if (options.dtype == "auto") return default_compute(device);
  return options.dtype == "bf16" ? DType::bf16 : DType::f32;
}

}  // namespace lathe::cli
