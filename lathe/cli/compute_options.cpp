#include "lathe/cli/compute_options.h"

#include <filesystem>

#include "lathe/cli/command_line.h"
#include "lathe/files/gguf_model.h"
#include "lathe/tensor/device_choice.h"
#include "lathe/train/job.h"

namespace lathe::cli {

namespace fs = std::filesystem;

void declare_compute(CommandLine app, ComputeOptions& options) {
  app.add_option("--device", options.device, "auto: the first GPU, or the CPU where there is none; cpu, cuda, cuda:1")
      .capture_default_str();
  app.add_option("--dtype", options.dtype,
                 "of weights, cache and arithmetic; auto: the files', bf16 where that is fast")
      .one_of({"auto", "f32", "bf16"})
      .capture_default_str();
}

namespace {

/// Whether the numbers of `files` were meant to be f32. A checkpoint keeps f32 masters of what it trained in bf16.
bool are_f32(const TensorFiles& files) {
  const fs::path job = fs::path(files.path()) / "job.toml";
  if (!fs::exists(job)) return main_type(files) == "F32";
  return read_job(job.string()).compute() == DType::f32;
}

}  // namespace

DType dtype_of(const ComputeOptions& options, Device device, const TensorFiles& files) {
  if (options.dtype != "auto") return options.dtype == "bf16" ? DType::bf16 : DType::f32;
  return are_f32(files) ? DType::f32 : default_compute(device);
}

}  // namespace lathe::cli
