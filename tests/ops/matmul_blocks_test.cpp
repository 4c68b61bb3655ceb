#include "lathe/ops/matmul_blocks.h"

#include <gtest/gtest.h>

namespace lathe {
namespace {

class MatmulWorkspace : public ::testing::TestWithParam<bool> {};

TEST_P(MatmulWorkspace, SufficesForAllProductsOfFewerRows) {
  bool paired = multiplies_pairs();
  set_multiplies_pairs(GetParam());
  for (Isa isa : {Isa::avx2, Isa::avx512})
    for (DType dtype : {DType::f32, DType::bf16})
      for (int64_t depth : {64, 512, 2000, 4096, 12000})
        for (int64_t columns : {300, 50257}) {
          int64_t before = 0;
          int threads = columns == 300 ? 2 : 3;
          for (int64_t rows = 1; rows < 6000; rows += 7) {
            ProductExtents extents{rows, columns, depth, dtype, dtype};
            int64_t bytes = workspace_bytes(isa, extents, threads);
            ASSERT_GE(bytes, before) << rows << ' ' << columns << ' ' << depth;
            ASSERT_GE(bytes, blocks_of(isa, extents, threads).bytes) << rows << ' ' << columns << ' ' << depth;
            extents.b_packed = true;
            ASSERT_GE(workspace_bytes(isa, extents, threads), blocks_of(isa, extents, threads).bytes)
                << rows << ' ' << columns;
            before = bytes;
          }
        }
  set_multiplies_pairs(paired);
}

INSTANTIATE_TEST_SUITE_P(InPairsAndWidened, MatmulWorkspace, ::testing::Bool());

}  // namespace
}  // namespace lathe
