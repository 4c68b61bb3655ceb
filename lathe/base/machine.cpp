#include "lathe/base/machine.h"

#include <algorithm>
#include <fstream>

#include "lathe/base/build_info.h"
#include "lathe/base/isa.h"
#include "lathe/base/memory_info.h"
#include "lathe/base/threads.h"

namespace lathe {
namespace {

std::string processor_name() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);)
    if (line.starts_with("model name")) return line.substr(std::min(line.find(':') + 2, line.size()));
  return "";
}

}  // namespace

Machine this_machine() {
  return {processor_name(), threads(), isa_name(isa()), host_memory_budget(), "lathe " + build_info().version};
}

}  // namespace lathe
