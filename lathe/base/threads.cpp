#include "lathe/base/threads.h"

#include <omp.h>
#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <optional>
#include <sstream>

#include "lathe/base/error.h"
#include "lathe/base/numbers.h"

namespace lathe {
namespace {

int affinity_count() {
  cpu_set_t set;
  if (::sched_getaffinity(0, sizeof set, &set) != 0) return int(std::max(1u, std::thread::hardware_concurrency()));
  return std::max(1, CPU_COUNT(&set));
}

/// Whole processors of a quota, rounded up: throttling a fraction costs less than leaving it idle.
std::optional<int> processors(int64_t quota, int64_t period) {
  if (quota <= 0 || period <= 0) return std::nullopt;
  return int(std::min<int64_t>((quota + period - 1) / period, 4096));
}

int quota_count(const CgroupPlace& place) {
  int smallest = 4096;
  // Version 2 writes "quota period" or "max period" in one file; version 1 has two, of which the period is by default
  // 100 ms.
  for (const std::string& value : cgroup_values("cpu.max", "cpu", "cpu.cfs_quota_us", place)) {
    std::istringstream words(value);
    std::string quota, period = "100000";
    words >> quota >> period;
    auto count = processors(try_parse_int(quota).value_or(0), try_parse_int(period).value_or(100000));
    smallest = std::min(smallest, count.value_or(smallest));
  }
  return smallest;
}

int initial_threads() {
  const char* asked = std::getenv("OMP_NUM_THREADS");
  if (!asked || !*asked) return available_threads();
  std::string first(asked, std::find(asked, asked + std::string_view(asked).size(), ','));  // "4,2": outer level
  int64_t count = try_parse_int(first).value_or(0);
  return count >= 1 && count <= 4096 ? int(count) : available_threads();
}

std::atomic<int>& current() {
  static std::atomic<int> count = initial_threads();
  return count;
}

}  // namespace

int available_threads(const CgroupPlace& place) { return std::min(affinity_count(), quota_count(place)); }

int threads() { return current().load(std::memory_order_relaxed); }

void set_threads(int count) {
  require(count >= 1 && count <= 4096, "threads: ", count, " is not between 1 and 4096");
  current().store(count, std::memory_order_relaxed);
  omp_set_num_threads(count);
}

std::thread start_thread(const std::string& name, std::function<void()> work) {
  return std::thread([name = name.substr(0, 15), work = std::move(work)] {
    ::pthread_setname_np(::pthread_self(), name.c_str());
    omp_set_num_threads(threads());
    work();
  });
}

}  // namespace lathe
