#include "lathe/base/cgroup.h"

#include <fstream>
#include <optional>
#include <sstream>

namespace lathe {
namespace {

struct Membership {
  std::string path;  // of the process's group, "/a/b"
  bool version_2 = false;
};

/// A line reads "4:memory:/a/b" in version 1 and "0::/a/b" in version 2; systems with both list both.
std::vector<Membership> memberships(const std::string& controller, const std::string& file) {
  std::vector<Membership> found;
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);) {
    size_t first = line.find(':'), second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    std::string controllers = "," + line.substr(first + 1, second - first - 1) + ",";
    bool version_2 = controllers == ",,";
    if (version_2 || controllers.find("," + controller + ",") != std::string::npos)
      found.push_back({line.substr(second + 1), version_2});
  }
  return found;
}

std::optional<std::string> first_line(const std::string& file) {
  std::ifstream in(file);
  std::string line;
  return std::getline(in, line) ? std::optional(line) : std::nullopt;
}

}  // namespace

std::vector<std::string> cgroup_values(const std::string& file_v2, const std::string& controller,
                                       const std::string& file_v1, const CgroupPlace& place) {
  std::vector<std::string> values;
  for (const Membership& group : memberships(controller, place.process)) {
    std::string root = group.version_2 ? place.root : place.root + "/" + controller;
    std::string path = group.path == "/" ? "" : group.path;
    while (true) {
      auto value = first_line(root + path + "/" + (group.version_2 ? file_v2 : file_v1));
      if (value) values.push_back(*value);
      if (path.empty()) break;
      path.resize(path.rfind('/'));
    }
  }
  return values;
}

}  // namespace lathe
