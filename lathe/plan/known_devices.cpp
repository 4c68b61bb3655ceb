#include "lathe/plan/known_devices.h"

namespace lathe {
namespace {

// Rates are NVIDIA's: of products with f32 sums, without sparsity, at boost clocks. Memory is what cudaMemGetInfo
// shows, as messages of PyTorch report it.

constexpr const char* kH100 = R"(
name = "NVIDIA H100 80GB HBM3"
architecture = "sm_90"
source = "data sheet of the H100 SXM"
memory = "79.1GiB"
[data_sheet]
f32_tflops = 66.9
bf16_tflops = 989.4
fp8_tflops = 1978.9
gigabytes_per_second = 3350
)";

constexpr const char* kA100 = R"(
name = "NVIDIA A100-SXM4-80GB"
architecture = "sm_80"
source = "data sheet of the A100 80GB SXM"
memory = "79.1GiB"
[data_sheet]
f32_tflops = 19.5
bf16_tflops = 312
gigabytes_per_second = 2039
)";

constexpr const char* kRtx4090 = R"(
name = "NVIDIA GeForce RTX 4090"
architecture = "sm_89"
source = "data sheet of the GeForce RTX 4090"
memory = "23.6GiB"
[data_sheet]
f32_tflops = 82.6
bf16_tflops = 165.2
fp8_tflops = 330.3
gigabytes_per_second = 1008
)";

constexpr const char* kT4 = R"(
name = "Tesla T4"
architecture = "sm_75"
source = "data sheet of the T4"
memory = "14.5GiB"
[data_sheet]
f32_tflops = 8.1
gigabytes_per_second = 320
)";

}  // namespace

const std::array<KnownDevice, 5> kKnownDevices = {
    {{"h200", kH200Profile}, {"h100", kH100}, {"a100-80g", kA100}, {"rtx4090", kRtx4090}, {"t4", kT4}}};

}  // namespace lathe
