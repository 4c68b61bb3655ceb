#include "lathe/ops/tile_copy.cuh"

#include "lathe/base/error.h"

namespace lathe {
namespace {

using Encode = decltype(&cuTensorMapEncodeTiled);

/// The driver's function; programs are not linked with the driver.
Encode encode() {
  static const Encode found = [] {
    void* function = nullptr;
    cudaDriverEntryPointQueryResult result{};
    check_cuda(cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &function, 12000, cudaEnableDefault, &result),
               "asking for the driver's tensor maps");
    require(function && result == cudaDriverEntryPointSuccess,
            "the GPU's driver is too old for lathe's kernels of this GPU: it has no cuTensorMapEncodeTiled");
    return reinterpret_cast<Encode>(function);
  }();
  return found;
}

}  // namespace

CUtensorMap tiles_of_matrix(const void* first, int64_t rows, int64_t columns, int64_t row, int tile_rows) {
  cuuint64_t sizes[] = {cuuint64_t(columns), cuuint64_t(rows)}, distances[] = {cuuint64_t(row) * sizeof(uint16_t)};
  cuuint32_t box[] = {64, cuuint32_t(tile_rows)}, steps[] = {1, 1};
  CUtensorMap map;
  CUresult result = encode()(&map, CU_TENSOR_MAP_DATA_TYPE_BFLOAT16, 2, const_cast<void*>(first), sizes, distances, box,
                             steps, CU_TENSOR_MAP_INTERLEAVE_NONE, CU_TENSOR_MAP_SWIZZLE_128B,
                             CU_TENSOR_MAP_L2_PROMOTION_L2_256B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  require(result == CUDA_SUCCESS, "tiles of a matrix [", rows, ", ", columns, "], rows ", row,
          " apart: the GPU's driver refuses them, error ", int(result));
  return map;
}

}  // namespace lathe
