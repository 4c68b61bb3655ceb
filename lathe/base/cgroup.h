#pragma once

#include <string>
#include <vector>

namespace lathe {

/// Where the system says how much of the machine this process may use; tests put directories of their own here.
struct CgroupPlace {
  std::string process = "/proc/self/cgroup";
  std::string root = "/sys/fs/cgroup";
};

/// What the file of that name says in this process's control group and in all above it, innermost first; each as one
/// text without its line end. `controller` and `file_v1` are for version 1 ("memory", "memory.limit_in_bytes").
std::vector<std::string> cgroup_values(const std::string& file_v2, const std::string& controller,
                                       const std::string& file_v1, const CgroupPlace& place = {});

}  // namespace lathe
