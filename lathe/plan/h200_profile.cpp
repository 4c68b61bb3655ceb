#include "lathe/plan/known_devices.h"

namespace lathe {

// Ceilings are measured. Rates are those of cuBLAS on the products of four models' steps, which they give back within
// 6 %, of cuDNN's attention at 1,024 to 16,384 tokens, within 10 %, and of lathe's backward there, within 2 %; context
// and libraries together are what 29 runs lost outside the arena, 533 to 545 MiB. What `lathe bench --device cuda
// --profile` writes replaces all of it.
const char* const kH200Profile = R"(
format = 1
name = "NVIDIA H200"
architecture = "sm_90"
source = "measured on one with driver 580 and CUDA 13.0"
memory = "139.8GiB"
context = "500MiB"
libraries = "40MiB"
host = "350MiB"
launch_microseconds = 2
[data_sheet]
f32_tflops = 66.9
bf16_tflops = 989.4
fp8_tflops = 1978.9
gigabytes_per_second = 4800
[measured]
f32_tflops = 50
bf16_tflops = 776
fp8_tflops = 1450
gigabytes_per_second = 4280
[[kernel]]
kernel = "matmul"
dtype = "bf16"
tflops = 826
gigabytes_per_second = 5750
[[kernel]]
kernel = "matmul_fp8"
dtype = "bf16"
tflops = 1300
gigabytes_per_second = 5750
[[kernel]]
kernel = "attention"
dtype = "bf16"
head_dim = 64
tflops = 467
gigabytes_per_second = 2170
[[kernel]]
kernel = "attention"
dtype = "bf16"
head_dim = 128
tflops = 658
gigabytes_per_second = 3080
[[kernel]]
kernel = "attention_backward"
dtype = "bf16"
head_dim = 64
tflops = 463
gigabytes_per_second = 2260
[[kernel]]
kernel = "attention_backward"
dtype = "bf16"
head_dim = 128
tflops = 522
gigabytes_per_second = 2285
)";

}  // namespace lathe
