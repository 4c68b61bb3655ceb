#pragma once
// Copies of rows, or of parts of them, of any type: bytes in the largest units that fit.

#include <type_traits>

#include "lathe/ops/row_packs.cuh"

namespace lathe {

/// Where rows are read and written; all in bytes. With `ids`, row i is read from row ids[i].
struct RowCopy {
  const std::byte* from;
  std::byte* to;
  int64_t from_stride, to_stride;
  const int32_t* ids = nullptr;
};

template <class Unit>
struct CopyUnit {
  RowCopy copy;
  __device__ void operator()(int64_t row, int64_t unit) const {
    int64_t source = copy.ids ? copy.ids[row] : row;
    reinterpret_cast<Unit*>(copy.to + row * copy.to_stride)[unit] =
        reinterpret_cast<const Unit*>(copy.from + source * copy.from_stride)[unit];
  }
};

/// Copies the first `bytes` of each of `rows` rows.
inline void copy_rows(const RowCopy& copy, int64_t rows, int64_t bytes, cudaStream_t stream, const char* name) {
  uint64_t all = reinterpret_cast<uintptr_t>(copy.from) | reinterpret_cast<uintptr_t>(copy.to) |
                 uint64_t(copy.from_stride | copy.to_stride | bytes);
  auto run = [&]<class Unit>(Element<Unit>) {
    for_each_pack<1>(rows, bytes / int64_t(sizeof(Unit)), stream, CopyUnit<Unit>{copy}, name);
  };
  if (all % 16 == 0) return run(Element<uint4>{});
  if (all % 4 == 0) return run(Element<uint32_t>{});
  if (all % 2 == 0) return run(Element<uint16_t>{});
  run(Element<uint8_t>{});
}

}  // namespace lathe
