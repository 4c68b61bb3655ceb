#include "lathe/plan/roofline.h"

#include <algorithm>

namespace lathe {

double roofline_seconds(Work work, const Ceilings& ceilings) {
  return std::max(double(work.flops) / ceilings.flops_per_second, double(work.bytes) / ceilings.bytes_per_second);
}

CallSeconds at_ceilings(const Ceilings& ceilings) {
  return [ceilings](std::string_view, Work work) { return roofline_seconds(work, ceilings); };
}

double seconds_of(const RehearsedPhase& phase, const CallSeconds& estimate) {
  double seconds = 0;
  for (const KernelWork& k : phase.kernels) seconds += double(k.calls) * estimate(k.kernel, k.work);
  return seconds;
}

std::vector<PhaseWork> work_by_phase(const Rehearsal& rehearsal, const CallSeconds& estimate) {
  std::vector<PhaseWork> all;
  for (const RehearsedPhase& phase : rehearsal.phases) {
    if (phase.kernels.empty()) continue;
    auto named = [&](const PhaseWork& work) { return work.name == phase.name; };
    auto found = std::find_if(all.begin(), all.end(), named);
    PhaseWork& work = found == all.end() ? all.emplace_back(PhaseWork{.name = phase.name}) : *found;
    for (const KernelWork& k : phase.kernels) {
      work.kernels += k.calls;
      work.flops += k.calls * k.work.flops;
      work.bytes += k.calls * k.work.bytes;
    }
    work.seconds += seconds_of(phase, estimate);
  }
  return all;
}

}  // namespace lathe
