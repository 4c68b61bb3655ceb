#include "lathe/tensor/rehearse.h"

#include <algorithm>

#include "lathe/base/error.h"

namespace lathe {
namespace {

WorkTotals since(const WorkTotals& before, const WorkTotals& now) {
  return {now.kernels - before.kernels, now.flops - before.flops, now.bytes_moved - before.bytes_moved,
          now.bytes_communicated - before.bytes_communicated};
}

std::vector<Lifetime> lifetimes_during(Arena& arena, const std::function<void()>& episode) {
  arena.note_lifetimes();
  try {
    episode();
  } catch (...) {
    arena.take_lifetimes();
    throw;
  }
  return arena.take_lifetimes();
}

}  // namespace

Rehearsal rehearse(const std::function<void()>& episode) {
  Runtime& runtime = Runtime::current();
  if (!runtime.device.meta) throw InternalError("a rehearsal needs a meta runtime");
  Arena& arena = runtime.arena;
  WorkTotals before = runtime.totals;
  int64_t live = arena.use().live;
  arena.forget_peak();
  Rehearsal rehearsal;
  rehearsal.lifetimes = lifetimes_during(arena, episode);
  bool all_freed = std::all_of(rehearsal.lifetimes.begin(), rehearsal.lifetimes.end(),
                               [](const Lifetime& life) { return life.freed != INT64_MAX; });
  if (!all_freed || arena.use().live != live)
    throw InternalError(text("an episode began with ", live, " live bytes and ended with ", arena.use().live));
  rehearsal.placement = place(rehearsal.lifetimes);
  rehearsal.work = since(before, runtime.totals);
  rehearsal.peak = arena.use().peak;
  rehearsal.at_peak = arena.use().at_peak;
  return rehearsal;
}

void replay(const Placement& placement, const std::function<void()>& episode) {
  Arena& arena = Runtime::current().arena;
  arena.begin(placement);
  try {
    episode();
  } catch (...) {
    arena.abandon();
    throw;
  }
  arena.end();
}

}  // namespace lathe
