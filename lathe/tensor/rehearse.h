#pragma once

#include <functional>
#include <string>
#include <vector>

#include "lathe/tensor/runtime.h"

namespace lathe {

/// Kernel calls of one phase that did the same work.
struct KernelWork {
  std::string kernel;
  Work work;  ///< of one call
  int64_t calls = 0;
};

/// A stretch of an episode, from one begin_phase() to the next; before the first one it has no name.
struct RehearsedPhase {
  std::string name;
  int64_t first_call = 0;  ///< of the arena, as Lifetime counts them
  std::vector<KernelWork> kernels;
};

/// What a meta run of an episode showed: everything about it but its values.
struct Rehearsal {
  Placement placement;
  WorkTotals work;   ///< of the episode alone
  int64_t peak = 0;  ///< highest live bytes, what was live before it included
  BytesByPurpose at_peak{};
  std::vector<Lifetime> lifetimes;  ///< in call order, for timelines
  std::vector<RehearsedPhase> phases;
};

/// Runs `episode` (a training step, an evaluation, a sample, a save, an engine step) on the current Runtime, which must
/// be meta, and places its allocations. Throws InternalError unless the episode ends with the live set it began with.
Rehearsal rehearse(const std::function<void()>& episode);

/// Runs `episode` on the current Runtime at the rehearsed offsets. If it throws, the arena leaves the episode first.
void replay(const Placement& placement, const std::function<void()>& episode);

}  // namespace lathe
