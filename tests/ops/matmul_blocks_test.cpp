#include "lathe/ops/matmul_blocks.h"

#include <gtest/gtest.h>

namespace lathe {
namespace {

TEST(MatmulWorkspace, SufficesForAllProductsOfFewerRows) {
  for (Isa isa : {Isa::avx2, Isa::avx512})
    for (DType dtype : {DType::f32, DType::bf16})
      for (int64_t depth : {64, 512, 2000, 4096})
        for (int64_t columns : {300, 50257}) {
          int64_t before = 0;
          for (int64_t rows = 1; rows < 6000; rows += 7) {
            int64_t bytes = workspace_bytes(isa, rows, columns, depth, dtype, dtype, false);
            ASSERT_GE(bytes, before) << rows << ' ' << columns << ' ' << depth;
            ASSERT_GE(bytes, blocks_of(isa, rows, columns, depth, dtype, dtype, false).bytes())
                << rows << ' ' << columns << ' ' << depth;
            before = bytes;
          }
        }
}

}  // namespace
}  // namespace lathe
