#pragma once

#include "lathe/plan/device_profile.h"
#include "lathe/tensor/kernel.h"

namespace lathe {

/// A GPU at its best, as CUDA's own library and copies show it.
struct GpuCeilings {
  struct Product {
    DType dtype;
    int64_t size;  ///< size x size times size x size
    double tflops;
  };
  std::vector<Product> products;    ///< 4096 and 8192 of each dtype that it computes in
  double gigabytes_per_second = 0;  ///< copying 1 GiB, read and written
  double launch_microseconds = 0;   ///< of a kernel that does nothing, in a graph

  DeviceRates rates() const;  ///< the best of each
  Ceilings of(DType dtype) const;
};

/// Measures `device`, a GPU of this machine, in about a second; takes and gives back 2.1 GiB of it. Throws Error where
/// that much is not free.
GpuCeilings measured_gpu_ceilings(Device device);

/// The profile of a GPU of this machine as profile_of() has it; where it knows no rates, they are measured now.
DeviceProfile profile_here(Device device);

/// out = a bᵀ, all [n, n] of one type, f32 or bf16, by cuBLASLt's first choice; sums are f32.
constinit inline Kernel<void(const Tensor& a, const Tensor& b, Tensor& workspace, Tensor& out)> library_product_kernel{
    "library_product"};
/// Numbers between -1 and 1, f32 or bf16. A product of constants would spare power and run faster than real ones.
constinit inline Kernel<void(Tensor& out)> noise_kernel{"noise"};
/// out = x, by the driver.
constinit inline Kernel<void(const Tensor& x, Tensor& out)> device_copy_kernel{"device_copy"};

}  // namespace lathe
