#pragma once

#include <functional>
#include <string>

#include "lathe/tensor/rehearse.h"

namespace lathe {

/// What a machine can do at best.
struct Ceilings {
  double flops_per_second = 0;
  double bytes_per_second = 0;  ///< between processor and memory, read and written
  double launch_seconds = 0;    ///< of a GPU's kernel that does nothing, in a graph
};

/// Seconds that a kernel call takes at least: as long as its arithmetic or its traffic needs, whichever is longer
/// (Williams et al. 2009). An estimate: real kernels stay below both ceilings.
double roofline_seconds(Work work, const Ceilings& ceilings);

/// An estimate of the seconds that a call of a kernel takes.
using CallSeconds = std::function<double(std::string_view kernel, Work work)>;
/// At the ceilings, whatever the kernel.
CallSeconds at_ceilings(const Ceilings& ceilings);

/// The sum over all calls of a phase.
double seconds_of(const RehearsedPhase& phase, const CallSeconds& estimate);

/// One line a name of phase, in order of first appearance: what all phases of that name do.
struct PhaseWork {
  std::string name;
  int64_t kernels = 0, flops = 0, bytes = 0;
  double seconds = 0;  ///< an estimate
};
std::vector<PhaseWork> work_by_phase(const Rehearsal& rehearsal, const CallSeconds& estimate);

}  // namespace lathe
