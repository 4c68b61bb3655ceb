#pragma once
// One launch over many tensors: what it works on travels as the kernel's argument, so that no list lies in memory and a
// captured launch holds its own.

#include <cstdint>

namespace lathe {

/// Up to `most` parts, each cut into chunks of `chunk` elements; a block takes a chunk, in order. A Part has `count`.
template <class Part, int most, int64_t chunk>
struct PartList {
  static constexpr int kMost = most;
  int size = 0;
  unsigned blocks = 0;
  unsigned first_block[most];
  Part parts[most];

  /// False when the list is full.
  bool add(const Part& part) {
    if (size == most) return false;
    first_block[size] = blocks;
    parts[size++] = part;
    blocks += unsigned((part.count + chunk - 1) / chunk);
    return true;
  }

  /// The part whose chunk block `block` takes: the last that begins at it or before.
  __device__ int part_of(unsigned block) const {
    int low = 0, high = size;
    while (high - low > 1) {
      int middle = (low + high) / 2;
      (first_block[middle] <= block ? low : high) = middle;
    }
    return low;
  }
};

constexpr int kMostArgumentBytes = 32764;  ///< of all arguments of a kernel (since CUDA 12.1)

}  // namespace lathe
