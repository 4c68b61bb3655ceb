#pragma once

#include <cstdint>
#include <functional>
#include <string_view>

#include "lathe/tensor/arena.h"

namespace lathe {

/// Arithmetic and memory traffic of one kernel call.
struct Work {
  int64_t flops = 0;  ///< multiplications and additions
  int64_t bytes = 0;  ///< really read and written
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

  Runtime(Device device, int64_t capacity);
  ~Runtime();
  Runtime(const Runtime&) = delete;
  static Runtime& current();

  const Device device;
  Arena arena;
  WorkTotals totals;
  /// When set, told of every kernel that ran: its name, work and seconds.
  std::function<void(std::string_view kernel, Work work, double seconds)> on_kernel;

 private:
  Runtime* previous_;
};

}  // namespace lathe
