#pragma once

#include <cstdint>
#include <string>

#include "lathe/tensor/device.h"
#include "lathe/tensor/dtype.h"

namespace lathe {

/// The device that "auto" (the first GPU, or the CPU where there is none), "cpu", "cuda" or "cuda:1" means here. Throws
/// Error for other words, and where a GPU is asked for by name that is not there, saying why.
Device choose_device(const std::string& asked);

/// The type in which `device` computes fastest without losing range: bf16 where its instructions have it, else f32.
DType default_compute(Device device);

/// Bytes that a program may take of `device` now: of a GPU what is free, of a CPU what host_memory_budget() says.
int64_t memory_budget(Device device);

}  // namespace lathe
