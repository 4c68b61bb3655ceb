#include "lathe/plan/gpu_ceilings.h"

#include <algorithm>

#include "lathe/plan/gpu_gauge.h"

namespace lathe {
namespace {

constexpr int64_t kCopied = int64_t{1} << 30;
constexpr int64_t kWorkspace = int64_t{64} << 20;

/// The least seconds of `run` of ten, after three to warm up.
double best_seconds(GpuGauge& gauge, const std::function<void()>& run) {
  gauge.hold(0.005);
  for (int i = 0; i < 3; ++i) run();
  for (int i = 0; i <= 10; ++i) {
    gauge.mark();
    if (i < 10) run();
  }
  std::vector<double> laps = gauge.laps();
  return *std::min_element(laps.begin(), laps.end());
}

Tensor noise(int64_t size, DType dtype) {
  Tensor tensor = Tensor::empty({size, size}, dtype);
  noise_kernel({}, tensor);
  return tensor;
}

double product_tflops(GpuGauge& gauge, DType dtype, int64_t size) {
  Tensor a = noise(size, dtype), b = noise(size, dtype), out = Tensor::empty({size, size}, dtype);
  Tensor workspace = Tensor::empty({kWorkspace}, DType::u8);
  double seconds = best_seconds(gauge, [&] { library_product_kernel({}, a, b, workspace, out); });
  return 2 * double(size) * double(size) * double(size) / seconds * 1e-12;
}

double copied_gigabytes(GpuGauge& gauge) {
  Tensor from = Tensor::empty({kCopied}, DType::u8), to = Tensor::empty({kCopied}, DType::u8);
  return 2 * double(kCopied) / best_seconds(gauge, [&] { device_copy_kernel({}, from, to); }) * 1e-9;
}

}  // namespace

DeviceRates GpuCeilings::rates() const {
  DeviceRates best{.gigabytes_per_second = gigabytes_per_second};
  for (const Product& product : products) {
    double& rate = product.dtype == DType::bf16 ? best.bf16_tflops : best.f32_tflops;
    rate = std::max(rate, product.tflops);
  }
  return best;
}

Ceilings GpuCeilings::of(DType dtype) const {
  DeviceRates best = rates();
  return {(dtype == DType::bf16 ? best.bf16_tflops : best.f32_tflops) * 1e12, gigabytes_per_second * 1e9,
          launch_microseconds * 1e-6};
}

GpuCeilings measured_gpu_ceilings(Device device) {
  Runtime runtime(device, 2 * kCopied + kWorkspace);
  std::unique_ptr<GpuGauge> gauge = gpu_gauge(runtime);
  GpuCeilings ceilings;
  DeviceProfile profile = profile_of(accelerators().gpus.at(size_t(device.index)));
  for (DType dtype : {DType::f32, DType::bf16})
    for (int64_t size : {4096, 8192})
      if (computes_in(profile, dtype)) ceilings.products.push_back({dtype, size, product_tflops(*gauge, dtype, size)});
  ceilings.gigabytes_per_second = copied_gigabytes(*gauge);
  ceilings.launch_microseconds = gauge->launch_in_graph() * 1e6;
  return ceilings;
}

DeviceProfile profile_here(Device device) {
  DeviceProfile profile = profile_of(accelerators().gpus.at(size_t(device.index)));
  if (profile.data_sheet.gigabytes_per_second > 0 || !profile.estimate()) return profile;
  GpuCeilings ceilings = measured_gpu_ceilings(device);
  profile.measured = ceilings.rates();
  profile.launch_microseconds = ceilings.launch_microseconds;
  return profile;
}

}  // namespace lathe
