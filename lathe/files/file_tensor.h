#pragma once

#include <functional>
#include <span>
#include <string>
#include <vector>

#include "lathe/base/bytes.h"
#include "lathe/files/element_type.h"
#include "lathe/nn/stored.h"

namespace lathe {

/// A tensor of a model where it lies in a file, which must outlive it.
struct FileTensor {
  std::string name;       ///< in the file
  std::string_view file;  ///< its path
  std::string_view type;  ///< "BF16", "Q4_K"
  std::vector<int64_t> shape;
  Bytes bytes;
  bool out_in = false;                            ///< a matrix lies as [out, in], whatever its Slice says of files
  std::function<int64_t(int64_t)> row = nullptr;  ///< where it holds a row of the model's tensor; null: at the same
  float add = 0;                                  ///< the model's numbers are these plus that
  int64_t left_out = 0;                           ///< first rows of the model's tensor that the file has not: zeros
  /// What an adapter makes of a row of the model's tensor, a matrix, afterwards; null: nothing.
  std::function<void(int64_t row, std::span<float> numbers)> change = nullptr;

  const ElementType* elements() const { return find_element_type(type); }  ///< null: blocks (quant/block_format.h)
};

/// Throws Error where `tensor` is not what `slice` is part of, or has a type that weights cannot be read from.
void check_fits(const FileTensor& tensor, const Slice& slice);

/// Rows of `to` from the rectangle `slice` of a tensor that fits, converted to `dtype`; u8: blocks as they are.
void read_slice(const FileTensor& tensor, const Slice& slice, DType dtype, std::byte* to);

std::string shape_text(const std::vector<int64_t>& shape);  ///< "[4, 2]"

/// The extents of the tensor that `slice` is part of, as files of the model's own form have it.
std::vector<int64_t> file_shape(const Slice& slice);

}  // namespace lathe
