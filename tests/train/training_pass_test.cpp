#include "lathe/train/training_pass.h"

#include <gtest/gtest.h>

namespace lathe {
namespace {

TEST(RowsOfLossChunk, HoldALittleOfTheLogitsOnACpu) {
  EXPECT_EQ(rows_of_loss_chunk({}, 32000, 100000), 512);
  EXPECT_EQ(rows_of_loss_chunk({}, 1 << 20, 100000), 64);
  EXPECT_EQ(rows_of_loss_chunk({}, 32000, 100), 100);
}

TEST(RowsOfLossChunk, FillAGpu) {
  for (Device device : {Device{Backend::cuda}, Device{Backend::cuda}.as_meta()}) {
    EXPECT_EQ(rows_of_loss_chunk(device, 50304, 100000), 5312);
    EXPECT_EQ(rows_of_loss_chunk(device, 1 << 20, 100000), 2048);
    EXPECT_EQ(rows_of_loss_chunk(device, 50304, 1024), 1024);
  }
}

}  // namespace
}  // namespace lathe
