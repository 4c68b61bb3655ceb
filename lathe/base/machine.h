#pragma once

#include <cstdint>
#include <string>

namespace lathe {

/// What a run is made on: goes into its log, for who reads its speed later.
struct Machine {
  std::string processor;        // as the system names it; "" where it does not
  int threads = 0;              // that work
  std::string instruction_set;  // of the kernels
  int64_t memory = 0;           // bytes that could be had
  std::string program;          // "lathe 0.1.0"
};

Machine this_machine();

}  // namespace lathe
