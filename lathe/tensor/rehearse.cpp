#include "lathe/tensor/rehearse.h"

#include <algorithm>
#include <map>

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

/// Notes phases and kernels while it lives.
class Notes {
 public:
  explicit Notes(Runtime& runtime) : runtime_(runtime) {
    begin("");
    runtime.on_phase = [this](std::string_view name) { begin(name); };
    runtime.on_kernel = [this](std::string_view kernel, Work work, double) { ++calls_[{kernel, work}]; };
  }
  ~Notes() { runtime_.on_phase = nullptr, runtime_.on_kernel = nullptr; }
  Notes(const Notes&) = delete;

  std::vector<RehearsedPhase> take() {
    close();
    return std::move(phases_);
  }

 private:
  Runtime& runtime_;
  std::map<std::pair<std::string_view, Work>, int64_t> calls_;  ///< names of kernels live as long as the program
  std::vector<RehearsedPhase> phases_;

  void begin(std::string_view name) {
    close();
    phases_.push_back({std::string(name), runtime_.arena.noted_calls(), {}});
  }
  void close() {
    for (auto& [key, calls] : calls_) phases_.back().kernels.push_back({std::string(key.first), key.second, calls});
    calls_.clear();
  }
};

}  // namespace

Rehearsal rehearse(const std::function<void()>& episode) {
  Runtime& runtime = Runtime::current();
  if (!runtime.device.meta) throw InternalError("a rehearsal needs a meta runtime");
  Arena& arena = runtime.arena;
  WorkTotals before = runtime.totals;
  int64_t live = arena.use().live;
  arena.forget_peak();
  Rehearsal rehearsal;
  {
    Notes notes(runtime);
    rehearsal.lifetimes = lifetimes_during(arena, episode);
    rehearsal.phases = notes.take();
  }
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
