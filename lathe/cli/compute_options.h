#pragma once

#include <string>

#include "lathe/cli/command_line.h"
#include "lathe/files/tensor_files.h"
#include "lathe/tensor/device.h"
#include "lathe/tensor/dtype.h"

namespace lathe::cli {

/// Where a model computes, and with which numbers.
struct ComputeOptions {
  std::string device = "auto", dtype = "auto";
};

/// --device and --dtype. `options` must live until the command has run.
void declare_compute(CommandLine app, ComputeOptions& options);

/// The type in which the model of `files` computes on `device`. Where --dtype leaves it open: f32 where most of the
/// files' numbers are f32, or `device` has no fast bf16, else bf16; a checkpoint, which keeps f32 masters, as it was
/// trained.
DType dtype_of(const ComputeOptions& options, Device device, const TensorFiles& files);

}  // namespace lathe::cli
