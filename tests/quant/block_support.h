#pragma once

#include "lathe/quant/block_weight.h"

namespace lathe {

constexpr int64_t kIn = 512;  ///< columns of the weights that tests make

/// Fills rows of blocks with random bytes whose numbers are of use in tests.
void fill_blocks(const BlockFormat& format, const Tensor& rows, uint64_t seed);
/// The same of all that is stored, in these formats.
void fill(const Inventory& inventory, const std::vector<const BlockFormat*>& formats);
/// Normal numbers.
Tensor noise(Shape shape, DType dtype, uint64_t seed);
/// The root of the mean square of a - b, in parts of that of b.
double difference(const std::vector<float>& a, const std::vector<float>& b);
double difference(const Tensor& a, const Tensor& b);

}  // namespace lathe
