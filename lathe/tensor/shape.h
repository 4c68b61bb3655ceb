#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <iosfwd>

namespace lathe {

/// Row-major extents, outermost first; at most four.
class Shape {
 public:
  Shape() = default;
  Shape(std::initializer_list<int64_t> extents);
  int rank() const { return rank_; }
  int64_t operator[](int axis) const { return extents_[size_t(axis < 0 ? axis + rank_ : axis)]; }
  int64_t elements() const;  ///< throws Error when they overflow
  int64_t rows() const;      ///< product of all extents but the last; 1 for rank 0 and 1
  int64_t columns() const { return rank_ ? extents_[size_t(rank_ - 1)] : 1; }
  Shape with_columns(int64_t columns) const;  ///< the same with another last extent
  Shape with_rows(int64_t rows) const;        ///< the same with another first extent
  bool operator==(const Shape&) const = default;
  friend std::ostream& operator<<(std::ostream& out, const Shape& shape);

 private:
  std::array<int64_t, 4> extents_{};
  int rank_ = 0;
};

}  // namespace lathe
