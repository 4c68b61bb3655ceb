#pragma once

#include <functional>
#include <vector>

#include "lathe/tensor/runtime.h"

namespace lathe {

/// What a meta run of an episode showed: everything about it but its values.
struct Rehearsal {
  Placement placement;
  WorkTotals work;   ///< of the episode alone
  int64_t peak = 0;  ///< highest live bytes, what was live before it included
  BytesByPurpose at_peak{};
  std::vector<Lifetime> lifetimes;  ///< in call order, for timelines
};

/// Runs `episode` (a training step, an evaluation, a sample, a save, an engine step) on the current Runtime, which must
/// be meta, and places its allocations. Throws InternalError unless the episode ends with the live set it began with.
Rehearsal rehearse(const std::function<void()>& episode);

/// Runs `episode` on the current Runtime at the rehearsed offsets. If it throws, the arena leaves the episode first.
void replay(const Placement& placement, const std::function<void()>& episode);

}  // namespace lathe
