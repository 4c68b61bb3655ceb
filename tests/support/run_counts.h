#pragma once

#include <functional>

#include "lathe/tensor/runtime.h"

namespace lathe {

/// What a run took: memory by purpose and work.
struct RunCounts {
  int64_t peak = 0, reserved = 0;
  BytesByPurpose at_peak{};
  WorkTotals work;
  bool operator==(const RunCounts&) const = default;
};
std::ostream& operator<<(std::ostream& out, const RunCounts& counts);

/// What the current Runtime has taken so far.
RunCounts counts_so_far();

/// Runs `run` on a new Runtime of `device` with one OpenMP thread.
RunCounts counts_of(Device device, const std::function<void()>& run);

/// Runs `run` on a CPU and on its meta device, and expects equal counts. Returns them.
RunCounts expect_meta_equals_cpu(const std::function<void()>& run);

}  // namespace lathe
