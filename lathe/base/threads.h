#pragma once

#include <functional>
#include <string>
#include <thread>

#include "lathe/base/cgroup.h"

namespace lathe {

/// Processors that this process may use: its affinity, and no more than its control groups' quota; at least 1.
int available_threads(const CgroupPlace& place = {});

/// How many threads an op works with: what set_threads said, else OMP_NUM_THREADS, else available_threads().
int threads();

/// Sets threads() for the program. OpenMP keeps its count for each thread of its own: this sets that of the caller, and
/// start_thread() that of every thread it starts. Throws Error unless 1 <= count <= 4096.
void set_threads(int count);

/// Starts a thread that has a name (15 bytes are shown, by ps and debuggers) and works with threads() threads.
/// What `work` throws ends the program: forward it, as Prefetcher does.
std::thread start_thread(const std::string& name, std::function<void()> work);

}  // namespace lathe
