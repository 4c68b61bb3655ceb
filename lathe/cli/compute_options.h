#pragma once

#include <string>

#include "lathe/tensor/device.h"
#include "lathe/tensor/dtype.h"

namespace CLI {
class App;
}

namespace lathe::cli {

/// Where a model computes, and with which numbers.
struct ComputeOptions {
  std::string device = "auto", dtype = "auto";
};

/// --device and --dtype. `options` must live until the command has run.
void declare_compute(CLI::App& app, ComputeOptions& options);

/// The type that --dtype means on `device`.
DType dtype_of(const ComputeOptions& options, Device device);

}  // namespace lathe::cli
