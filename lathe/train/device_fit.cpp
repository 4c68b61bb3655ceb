#include "lathe/train/device_fit.h"

#include <algorithm>

#include "lathe/base/build_info.h"
#include "lathe/train/training_plan.h"

namespace lathe {
namespace {

/// Two layers of a model, and how much of it a step takes: no shape that a benchmark of ours uses.
struct SmallModel {
  const char* model_type;
  int64_t vocabulary, hidden, heads, kv_heads, intermediate;
  int64_t sequence, micro_batch;
};

constexpr SmallModel kModels[] = {
    {"gpt2", 50257, 640, 10, 10, 0, 1024, 24},      // heads of 64
    {"gpt2", 50257, 1280, 20, 20, 0, 512, 16},      //
    {"llama", 49152, 512, 8, 4, 1408, 2048, 12},    //
    {"llama", 32000, 1536, 24, 8, 4096, 2048, 8},   //
    {"llama", 32000, 2560, 40, 8, 6912, 4096, 2},   //
    {"gpt2", 50257, 1280, 16, 16, 0, 1024, 12},     // of 80
    {"llama", 32000, 1536, 16, 4, 4096, 1024, 16},  // of 96
    {"llama", 32000, 1024, 8, 8, 2816, 1024, 16},   // of 128
    {"llama", 128256, 3072, 24, 8, 8192, 4096, 2},  //
    {"llama", 32000, 4096, 32, 8, 11008, 2048, 4},  //
    {"llama", 256000, 2048, 8, 1, 8192, 2048, 4},   // of 256
};
constexpr int64_t kF32Share = 4;  // f32 takes so much longer that a quarter of the rows does

JobSettings job_of(const SmallModel& shape, DType dtype, Device device) {
  JobSettings job;
  job.model = {.model_type = shape.model_type,
               .vocab_size = shape.vocabulary,
               .hidden_size = shape.hidden,
               .num_hidden_layers = 2,
               .num_attention_heads = shape.heads,
               .max_position_embeddings = shape.sequence};
  job.model.num_key_value_heads = shape.kv_heads;
  job.model.intermediate_size = shape.intermediate;
  job.training.device = device.name();
  job.training.micro_batch = shape.micro_batch;
  job.training.dtype = TrainingSettings::Compute::bf16;
  if (dtype == DType::f32) {
    job.training.dtype = TrainingSettings::Compute::f32;
    job.training.micro_batch = std::max<int64_t>(shape.micro_batch / kF32Share, 1);
  }
  return resolved(job);
}

double estimated(const JobSettings& job, const DeviceProfile& profile) {
  return estimated_step_seconds(job, at_rates(profile, {job.compute(), job.model.head_dim}));
}

/// Kernels one by one meet colder clocks and warmer caches than those of a step that runs as a whole.
void stretch_to_steps(DeviceProfile& profile, DType dtype, const std::vector<FittedStep>& steps) {
  double measured = 0, predicted = 0;
  for (const FittedStep& step : steps)
    if (step.job.compute() == dtype) measured += step.seconds, predicted += estimated(step.job, profile);
  if (predicted == 0) return;
  for (KernelRate& rate : profile.kernels)
    if (rate.dtype == name_of(dtype)) stretch(rate, measured / predicted);
}

DeviceProfile profile_without_rates(Device device, const GpuCeilings& ceilings) {
  const AcceleratorInfo& gpu = accelerators().gpus.at(size_t(device.index));
  DeviceProfile known = profile_of(gpu);
  DeviceProfile profile;
  profile.name = gpu.name;
  profile.architecture = gpu.architecture;
  profile.source = "measured by lathe bench " + build_info().version;
  profile.memory = gpu.memory_bytes;
  profile.context = gpu.memory_bytes - gpu.free_bytes;
  profile.host = known.host;
  profile.launch_microseconds = ceilings.launch_microseconds;
  profile.data_sheet = known.data_sheet;
  profile.measured = ceilings.rates();
  profile.measured.fp8_tflops = known.measured.fp8_tflops;
  return profile;
}

}  // namespace

DeviceFit fitted_profile(Device device, const GpuCeilings& ceilings) {
  DeviceFit fit{.profile = profile_without_rates(device, ceilings), .steps = {}};
  std::vector<MeasuredCall> calls;
  for (DType dtype : {DType::bf16, DType::f32}) {
    if (!computes_in(fit.profile, dtype)) continue;
    for (const SmallModel& shape : kModels) {
      JobSettings job = job_of(shape, dtype, device);
      StepProfile step = profile_step(job, ceilings.of(dtype));
      calls.insert(calls.end(), step.calls.begin(), step.calls.end());
      fit.steps.push_back({job, step.seconds});
      fit.profile.libraries = std::max(fit.profile.libraries, step.libraries);
    }
  }
  fit.profile.kernels = fitted_rates(calls);
  for (DType dtype : {DType::bf16, DType::f32}) stretch_to_steps(fit.profile, dtype, fit.steps);
  for (FittedStep& step : fit.steps) step.estimate = estimated(step.job, fit.profile);
  return fit;
}

}  // namespace lathe
