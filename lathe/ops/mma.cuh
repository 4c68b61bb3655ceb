#pragma once
// The tensor cores' instruction for 16-bit operands.

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <cstdint>

namespace lathe {

/// sums [16, 8] += a [16, 16] b [16, 8], by a warp: lane 4 r + c holds of a rows r and r + 8 (a0, a1: columns 2c, 2c +
/// 1; a2, a3: 8 further), of b column r (b0: rows 2c, 2c + 1; b1: 8 further), of sums rows r (0, 1) and r + 8 (2, 3) at
/// columns 2c, 2c + 1 (PTX ISA, mma.m16n8k16).
template <class T>
__device__ inline void multiply_add(float (&sums)[4], uint32_t a0, uint32_t a1, uint32_t a2, uint32_t a3, uint32_t b0,
                                    uint32_t b1) {
  if constexpr (std::is_same_v<T, __nv_bfloat16>)
    asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
        "{%0, %1, %2, %3};"
        : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
        : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b0), "r"(b1));
  else
    asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
        "{%0, %1, %2, %3};"
        : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
        : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b0), "r"(b1));
}

}  // namespace lathe
