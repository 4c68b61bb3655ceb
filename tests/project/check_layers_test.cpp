#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "tests/support/checkout.h"

namespace lathe {
namespace {

/// A checkout of one file, and what script/check_layers says of it.
class CheckLayers : public testing::Test {
 protected:
  CheckLayers() : root_(testing::TempDir() + "/check_layers_test") {}
  ~CheckLayers() override { std::filesystem::remove_all(root_); }

  bool accepts(const std::string& file, const std::string& include) {
    std::filesystem::remove_all(root_);
    std::filesystem::create_directories((root_ / file).parent_path());
    std::ofstream(root_ / file) << "#include " << include << '\n';
    std::string command = checkout().string() + "/script/check_layers '" + root_.string() + "' >/dev/null";
    return std::system(command.c_str()) == 0;
  }

 private:
  std::filesystem::path root_;
};

TEST_F(CheckLayers, AcceptsAnyFolderBelow) {
  EXPECT_TRUE(accepts("lathe/nn/linear.h", "\"lathe/base/error.h\""));
  EXPECT_TRUE(accepts("lathe/train/loop.cpp", "\"lathe/optim/adamw.h\""));
  EXPECT_TRUE(accepts("lathe/cli/train_command.cpp", "\"lathe/infer/engine.h\""));
}

TEST_F(CheckLayers, RejectsAFolderAboveOrBeside) {
  EXPECT_FALSE(accepts("lathe/base/error.h", "\"lathe/tensor/tensor.h\""));
  EXPECT_FALSE(accepts("lathe/train/loop.cpp", "\"lathe/infer/engine.h\""));
  EXPECT_FALSE(accepts("lathe/infer/engine.cpp", "\"lathe/train/loop.h\""));
  EXPECT_FALSE(accepts("lathe/misc/thing.h", "\"lathe/base/error.h\""));
}

TEST_F(CheckLayers, RejectsAnIncludeWithoutItsFolder) { EXPECT_FALSE(accepts("lathe/base/error.cpp", "\"error.h\"")); }

TEST_F(CheckLayers, RejectsCudaHeadersOutsideTheirFiles) {
  EXPECT_FALSE(accepts("lathe/ops/matmul.cpp", "<cublasLt.h>"));
  EXPECT_FALSE(accepts("lathe/tensor/tensor.h", "<cuda_runtime.h>"));
  EXPECT_TRUE(accepts("lathe/ops/matmul.cu", "<cublasLt.h>"));
  EXPECT_TRUE(accepts("lathe/tensor/launch.cuh", "<cuda_runtime.h>"));
  EXPECT_TRUE(accepts("lathe/comm/nccl.cpp", "<nccl.h>"));
}

}  // namespace
}  // namespace lathe
