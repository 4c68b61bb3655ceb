#include "tests/support/run_counts.h"

#include <gtest/gtest.h>

#include <ostream>

#include "lathe/base/threads.h"

namespace lathe {

std::ostream& operator<<(std::ostream& out, const RunCounts& c) {
  return out << "peak " << c.peak << ", reserved " << c.reserved << ", " << c.work.kernels << " kernels, "
             << c.work.flops << " FLOPs, " << c.work.bytes_moved << " bytes moved, " << c.work.bytes_communicated
             << " sent\n"
             << table_of(c.at_peak);
}

RunCounts counts_so_far() {
  Runtime& runtime = Runtime::current();
  const MemoryUse& use = runtime.arena.use();
  return {use.peak, use.reserved, use.at_peak, runtime.totals};
}

RunCounts counts_of(Device device, const std::function<void()>& run) {
  set_threads(1);
  Runtime runtime(device, 256 << 20);
  run();
  return counts_so_far();
}

RunCounts expect_meta_equals_cpu(const std::function<void()>& run) {
  RunCounts cpu = counts_of({}, run);
  EXPECT_EQ(counts_of(Device{}.as_meta(), run), cpu);
  EXPECT_GT(cpu.work.kernels, 0);
  return cpu;
}

}  // namespace lathe
