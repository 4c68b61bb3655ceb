#include "lathe/tensor/shape.h"

#include <algorithm>
#include <ostream>

#include "lathe/base/error.h"

namespace lathe {

namespace {
constexpr int64_t kMostElements = int64_t{1} << 58;  // their bytes can be counted too
}

Shape::Shape(std::initializer_list<int64_t> extents) : rank_(int(extents.size())) {
  require(extents.size() <= extents_.size(), "a shape has at most ", extents_.size(), " extents");
  std::copy(extents.begin(), extents.end(), extents_.begin());
}

int64_t Shape::elements() const {
  int64_t product = rows();
  bool fits = !__builtin_mul_overflow(product, columns(), &product) && product <= kMostElements;
  require(fits, "a tensor ", *this, " has more elements than can be counted");
  return product;
}

int64_t Shape::rows() const {
  int64_t product = 1;
  for (int axis = 0; axis + 1 < rank_; ++axis)
    require(!__builtin_mul_overflow(product, extents_[size_t(axis)], &product), "a tensor ", *this,
            " has more elements than can be counted");
  return product;
}

Shape Shape::with_columns(int64_t columns) const {
  Shape shape = *this;
  shape.extents_[size_t(rank_ - 1)] = columns;
  return shape;
}

Shape Shape::with_rows(int64_t rows) const {
  Shape shape = *this;
  shape.extents_[0] = rows;
  return shape;
}

std::ostream& operator<<(std::ostream& out, const Shape& shape) {
  out << '[';
  for (int axis = 0; axis < shape.rank(); ++axis) out << (axis ? ", " : "") << shape[axis];
  return out << ']';
}

}  // namespace lathe
