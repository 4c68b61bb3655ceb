#include "lathe/base/memory_info.h"

#include <algorithm>
#include <fstream>
#include <sstream>
#include <string>

#include "lathe/base/numbers.h"

namespace lathe {
namespace {

/// The number of bytes in a line "Name:   123 kB"; 0 when the line is of another name.
int64_t field_of(const std::string& line, const std::string& name) {
  if (!line.starts_with(name + ":")) return 0;
  std::istringstream words(line.substr(name.size() + 1));
  int64_t kilobytes = 0;
  return words >> kilobytes ? kilobytes * 1024 : 0;
}

}  // namespace

int64_t available_memory() {
  std::ifstream in("/proc/meminfo");
  for (std::string line; std::getline(in, line);)
    if (int64_t bytes = field_of(line, "MemAvailable")) return bytes;
  return 0;
}

std::optional<int64_t> cgroup_memory_limit(const CgroupPlace& place) {
  constexpr int64_t kUnlimited = int64_t{1} << 60;  // version 1 writes a huge number for "none", version 2 "max"
  std::optional<int64_t> smallest;
  for (const std::string& value : cgroup_values("memory.max", "memory", "memory.limit_in_bytes", place)) {
    std::optional<int64_t> limit = try_parse_int(value);
    if (limit && *limit < kUnlimited) smallest = std::min(smallest.value_or(*limit), *limit);
  }
  return smallest;
}

int64_t host_memory_budget() {
  int64_t available = available_memory();
  return std::min(available, cgroup_memory_limit().value_or(available));
}

ProcessMemory process_memory() {
  ProcessMemory memory;
  std::ifstream in("/proc/self/status");
  for (std::string line; std::getline(in, line);) {
    memory.resident += field_of(line, "VmRSS");
    memory.anonymous += field_of(line, "RssAnon");
    memory.peak += field_of(line, "VmHWM");
  }
  return memory;
}

}  // namespace lathe
