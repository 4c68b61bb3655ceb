#pragma once

#include <cstdint>
#include <string>

namespace lathe {

/// CPU instruction sets that kernels come in; each includes those before it. `avx2` also means FMA and F16C;
/// `avx512` means F, BW, VL, DQ, VNNI and BF16.
enum class Isa : uint8_t { plain, avx2, avx512 };

const char* isa_name(Isa isa);

/// The best of this processor, or what LATHE_ISA=plain|avx2|avx512 asks for. Throws Error when the processor lacks it.
Isa isa();

/// Overrides isa() for the calling program; tests run every variant with it. Throws Error as isa() does.
void set_isa(Isa isa);

/// True when the processor has `isa`.
bool isa_available(Isa isa);

/// Whether products of bf16 with avx512 multiply pairs by VDPBF16PS, rather than widen them and multiply as f32: where
/// that is faster. Zen 4 and Cooper Lake start as many pairs a cycle as products of f32; Intel's processors with AMX a
/// quarter of that (Emerald Rapids: 170 GFLOP/s on two cores, where f32 reaches 320).
bool multiplies_pairs();

/// Overrides multiplies_pairs() for the calling program; tests run both ways with it.
void set_multiplies_pairs(bool pairs);

}  // namespace lathe
