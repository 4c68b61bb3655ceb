#pragma once

#include <string>
#include <vector>

#include "lathe/plan/roofline.h"
#include "lathe/tensor/accelerator.h"
#include "lathe/tensor/dtype.h"

namespace lathe {

/// What a GPU does at best. 0: not known, or not there.
struct DeviceRates {
  double f32_tflops = 0;            ///< matrix products of f32 numbers, in full precision
  double bf16_tflops = 0;           ///< of bf16, summed in f32, without sparsity
  double fp8_tflops = 0;            ///< the same of fp8
  double gigabytes_per_second = 0;  ///< of its memory; as measured: copying, read and written
};

/// How long one kernel's calls take: microseconds + FLOPs / tflops + bytes / gigabytes_per_second, where a rate of 0
/// leaves its term out. A sum, not the longer of both: arithmetic never hides all of the traffic.
struct KernelRate {
  std::string kernel;
  std::string dtype;     ///< "bf16": in jobs of that dtype
  int64_t head_dim = 0;  ///< of the job's attention, where the kernel's rate depends on it; 0: it does not
  double microseconds = 0, tflops = 0, gigabytes_per_second = 0;
};

/// A GPU, as far as a plan needs to know it: a TOML file that `lathe bench --profile` writes, or a text in
/// known_devices.cpp.
struct DeviceProfile {
  static constexpr int kFormat = 1;

  std::string name;          ///< as the driver calls it: "NVIDIA H200"
  std::string architecture;  ///< "sm_90"
  std::string source;        ///< where the numbers are from, for people
  int64_t memory = 0;        ///< bytes that the driver shows
  int64_t context = 0;       ///< that a process takes by opening the GPU, before its first allocation
  int64_t libraries = 0;     ///< that loaded kernels and libraries' handles take beside the arena
  int64_t host = 0;          ///< that driver and libraries allocate in the host's memory
  double launch_microseconds = 0;
  DeviceRates data_sheet, measured;
  std::vector<KernelRate> kernels;  ///< empty: as the H200's, scaled by the ceilings

  bool estimate() const { return measured.gigabytes_per_second == 0; }
  int64_t outside() const { return context + libraries; }
  /// For products of `dtype`, as measured; else what the data sheet says times the share of it that an H200 reaches.
  Ceilings ceilings(DType dtype) const;
};

/// The names of the built-in profiles: "a100-80g", "h100" ...
std::vector<std::string> known_devices();
/// A built-in profile by its name, or the one in a file. Throws Error, naming what there is, when it is neither.
DeviceProfile read_device_profile(const std::string& name_or_path);
/// The built-in profile of a GPU of this machine; of a GPU that none is for, what the driver says of it, with no rates.
DeviceProfile profile_of(const AcceleratorInfo& gpu);
/// The profile as read_device_profile reads it.
std::string print_device_profile(const DeviceProfile& profile);

/// Whether the GPU computes in `dtype`, f32 or bf16; whether it multiplies FP8.
bool computes_in(const DeviceProfile& profile, DType dtype);
bool multiplies_fp8(const DeviceProfile& profile);

}  // namespace lathe
