#pragma once

#include <cstdint>
#include <optional>

#include "lathe/base/cgroup.h"

namespace lathe {

/// Bytes that can be had without swapping (MemAvailable).
int64_t available_memory();

/// The smallest memory limit of this process's control groups, version 1 or 2; nullopt when there is none.
std::optional<int64_t> cgroup_memory_limit(const CgroupPlace& place = {});

/// What a plan may count on: the smaller of both.
int64_t host_memory_budget();

/// Memory of this process, in bytes.
struct ProcessMemory {
  int64_t resident = 0;   // all of it, with mapped files
  int64_t anonymous = 0;  // what it allocated (RssAnon)
  int64_t peak = 0;       // of `resident`, since the start
};
ProcessMemory process_memory();

}  // namespace lathe
