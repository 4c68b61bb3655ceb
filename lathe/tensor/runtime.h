#pragma once

#include <compare>
#include <cstdint>
#include <functional>
#include <memory>
#include <string_view>

#include "lathe/tensor/accelerator.h"
#include "lathe/tensor/arena.h"

namespace lathe {

/// Arithmetic and memory traffic of one kernel call.
struct Work {
  int64_t flops = 0;  ///< multiplications and additions
  int64_t bytes = 0;  ///< really read and written
  auto operator<=>(const Work&) const = default;
};

/// Work done so far, whether run or only counted.
struct WorkTotals {
  int64_t kernels = 0;
  int64_t flops = 0;
  int64_t bytes_moved = 0;
  int64_t bytes_communicated = 0;  ///< put on the wire by this rank
  bool operator==(const WorkTotals&) const = default;
};

/// One device as one thread drives it: its memory and its totals. The newest Runtime of a thread is its current one.
class Runtime {
 public:
  static constexpr int64_t kUnbounded = int64_t{1} << 56;  ///< capacity of a meta runtime that only measures

  /// Throws Error when there is no such GPU.
  Runtime(Device device, int64_t capacity);
  ~Runtime();
  Runtime(const Runtime&) = delete;
  static Runtime& current();

  /// Adds a kernel's work to the totals.
  void count(Work work);

  const Device device;
  const std::unique_ptr<Accelerator> accelerator;  ///< null on a CPU and on meta devices
  Arena arena;
  WorkTotals totals;
  /// When set, told of every kernel call: its name, work and seconds (0 on meta).
  std::function<void(std::string_view kernel, Work work, double seconds)> on_kernel;
  /// When set, told what begin_phase() is told.
  std::function<void(std::string_view phase)> on_phase;

 private:
  Runtime* previous_;
};

/// Says that the episode that runs on the current Runtime enters another phase ("forward", "backward", "update").
void begin_phase(std::string_view phase);

}  // namespace lathe
