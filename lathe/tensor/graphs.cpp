#include "lathe/tensor/graphs.h"

#include <cstdlib>
#include <string_view>

#include "lathe/tensor/runtime.h"

namespace lathe {
namespace {

/// LATHE_GRAPHS=off launches every kernel by itself: to measure what graphs gain, and to find what goes wrong in one.
bool wanted() {
  static const bool on = [] {
    const char* asked = std::getenv("LATHE_GRAPHS");
    return !asked || std::string_view(asked) != "off";
  }();
  return on;
}

}  // namespace

void Graphs::run(int64_t key, const std::function<void()>& work) { run(key, work, true); }

void Graphs::run_unattended(int64_t key, const std::function<void()>& work) { run(key, work, false); }

bool Graphs::captured(int64_t key) const {
  auto found = stretches_.find(key);
  return found != stretches_.end() && found->second.graphs[size_t(found->second.runs % in_flight_)];
}

void Graphs::run(int64_t key, const std::function<void()>& work, bool attended) {
  Runtime& runtime = Runtime::current();
  Accelerator* accelerator = runtime.accelerator.get();
  if (!accelerator || runtime.on_kernel || !wanted()) return work();
  Stretch& stretch = stretches_[key];
  int64_t n = stretch.runs++;
  if (n == 0) {
    int64_t before = accelerator->staged_bytes();
    work();
    stretch.staged_bytes = accelerator->staged_bytes() - before;
    return;
  }
  std::unique_ptr<Graph>& graph = stretch.graphs[size_t(n % in_flight_)];
  if (graph) return accelerator->launch(*graph, attended ? work : nullptr);
  graph = accelerator->capture(stretch.staged_bytes, work);
  accelerator->launch(*graph);
}

}  // namespace lathe
