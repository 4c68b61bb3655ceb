#include "lathe/tensor/accelerator.h"

#include <dlfcn.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "lathe/tensor/sum.h"
#include "lathe/tensor/transfer.h"
#include "tests/support/checkout.h"

namespace lathe {
namespace {

TEST(Accelerators, AreFoundOrMissedForAReason) {
  const Accelerators& found = accelerators();
  EXPECT_EQ(found.gpus.empty(), !found.why_none.empty());
  EXPECT_THAT(describe(found), testing::StartsWith(found.gpus.empty() ? "no GPU: " : "cuda:0 "));
}

TEST(Accelerators, AskedForInVainSayWhy) {
  if (!accelerators().gpus.empty()) GTEST_SKIP() << "there is a GPU";
  try {
    Runtime runtime({Backend::cuda}, 1 << 20);
    FAIL() << "a runtime on a GPU that is not there";
  } catch (const Error& error) {
    EXPECT_EQ(error.what(), "cuda:0 was asked for, but " + accelerators().why_none);
  }
}

TEST(Accelerators, CanBeRehearsedWithoutAny) {
  Runtime runtime(Device{Backend::cuda}.as_meta(), 1 << 20);
  Tensor a = zeros({100}), b = sum(a, a);
  EXPECT_EQ(runtime.arena.use().live, 1024);
  EXPECT_FALSE(read_value<float>(b).has_value());
}

/// Hidden visibility, or a second copy of the library in the plugin, would lose its registrations without a word.
TEST(CudaPlugin, RegistersWithTheKernelsOfTheLibrary) {
  std::filesystem::path plugin = build_folder() / "library" / "lathe_cuda.so";
  if (!std::filesystem::exists(plugin)) GTEST_SKIP() << "this build has no CUDA plugin (preset cuda)";
  void* loaded = dlopen(plugin.c_str(), RTLD_NOW);
  ASSERT_NE(loaded, nullptr) << dlerror();
  EXPECT_TRUE(sum_kernel.has_cuda());
  auto* address = reinterpret_cast<const void* (*)()>(dlsym(loaded, "lathe_cuda_sum_kernel"));
  ASSERT_NE(address, nullptr);
  EXPECT_EQ(address(), &sum_kernel);
}

class GpuRuntime : public testing::Test {
 protected:
  void SetUp() override {
    if (accelerators().gpus.empty()) GTEST_SKIP() << accelerators().why_none;
  }
};

TEST_F(GpuRuntime, KeepsWhatWasUploaded) {
  Runtime runtime({Backend::cuda}, 1 << 20);
  Tensor tensor = Tensor::empty({3});
  upload(std::span<const float>(std::array{1.0f, 2.0f, 3.0f}), tensor);
  Tensor doubled = sum(tensor, tensor);
  std::array<float, 3> back{};
  download(doubled, std::as_writable_bytes(std::span(back)));
  EXPECT_EQ(back, (std::array{2.0f, 4.0f, 6.0f}));
  EXPECT_EQ(read_value<float>(doubled), 2.0f);
}

TEST_F(GpuRuntime, RefusesMoreMemoryThanThereIs) {
  int64_t all = accelerators().gpus[0].memory_bytes;
  EXPECT_THROW(Runtime({Backend::cuda}, all + (1 << 30)), Error);
  Runtime still({Backend::cuda}, 1 << 20);
  EXPECT_EQ(read_value<float>(zeros({1})), 0.0f);
}

TEST_F(GpuRuntime, NamesADeviceThatIsNotThere) {
  EXPECT_THROW(Runtime({Backend::cuda, 99}, 1 << 20), Error);
  EXPECT_THROW(Runtime({Backend::cuda, -1}, 1 << 20), Error);
}

}  // namespace
}  // namespace lathe
