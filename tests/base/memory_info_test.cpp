#include "lathe/base/memory_info.h"

#include <gtest/gtest.h>

#include <cstring>
#include <vector>

#include "tests/support/temporary_directory.h"

namespace lathe {
namespace {

TEST(CgroupMemoryLimit, IsTheSmallestOfAllGroupsAbove) {
  TemporaryDirectory directory;
  std::filesystem::create_directories(directory.path("a/b"));
  directory.file("a/b/memory.max", "max\n");
  directory.file("a/memory.max", "1000000\n");
  CgroupPlace place{directory.file("cgroup", "0::/a/b\n"), directory.path()};
  EXPECT_EQ(cgroup_memory_limit(place), 1000000);
}

TEST(CgroupMemoryLimit, ReadsVersionOne) {
  TemporaryDirectory directory;
  std::filesystem::create_directories(directory.path("memory/x"));
  directory.file("memory/memory.limit_in_bytes", "9223372036854771712\n");
  CgroupPlace place{directory.file("cgroup", "9:cpu,cpuacct:/y\n4:memory:/x\n0::/\n"), directory.path()};
  EXPECT_EQ(cgroup_memory_limit(place), std::nullopt);
  directory.file("memory/x/memory.limit_in_bytes", "5000\n");
  EXPECT_EQ(cgroup_memory_limit(place), 5000);
}

TEST(CgroupMemoryLimit, IsNoneWithoutGroups) {
  EXPECT_EQ(cgroup_memory_limit({"/no/such/file", "/no/such/directory"}), std::nullopt);
}

TEST(ProcessMemory, SeesAnAllocation) {
  int64_t before = process_memory().anonymous;
  std::vector<char> block(32 << 20, 1);
  ProcessMemory after = process_memory();
  EXPECT_EQ(std::memchr(block.data(), 0, block.size()), nullptr);  // or clang would leave the block out
  EXPECT_GE(after.anonymous - before, int64_t{30} << 20);
  EXPECT_GE(after.resident, after.anonymous);
  EXPECT_GE(after.peak, after.resident);
}

TEST(HostMemoryBudget, IsNoMoreThanWhatIsAvailable) { EXPECT_GT(host_memory_budget(), 0); }

}  // namespace
}  // namespace lathe
