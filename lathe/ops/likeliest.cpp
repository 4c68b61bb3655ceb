#include "lathe/ops/likeliest.h"

#include <algorithm>
#include <cmath>

namespace lathe {
namespace {

constexpr int64_t kAtOnce = 1024;  ///< logits whose highest is known before any is looked for

template <class T>
int32_t highest_column(const T* logits, int64_t columns) {
  float highest = -INFINITY;
  int64_t from = 0;  // the piece that it is in
  int bad = 0;
  for (int64_t piece = 0; piece < columns; piece += kAtOnce) {
    int64_t end = std::min(piece + kAtOnce, columns);
    float of_piece = -INFINITY;
#pragma omp simd reduction(max : of_piece) reduction(| : bad)
    for (int64_t i = piece; i < end; ++i) {
      auto x = float(logits[i]);
      bad |= !(x < INFINITY);  // NaN too
      of_piece = std::max(of_piece, x);
    }
    if (of_piece > highest) highest = of_piece, from = piece;
  }
  if (bad) return -1;
  while (float(logits[from]) < highest) ++from;
  return int32_t(from);
}

void likeliest_plain(const Tensor& logits, int64_t columns, Tensor& ids) {
  visit_floating(logits.dtype(), [&]<class T>(Element<T>) {
#pragma omp parallel for schedule(static) if (ids.elements() > 1)
    for (int64_t row = 0; row < ids.elements(); ++row)
      ids.data<int32_t>()[row] = highest_column(logits.data<T>() + row * logits.shape()[1], columns);
  });
}

const bool provided = likeliest_kernel.provide(Isa::plain, likeliest_plain);

}  // namespace

void likeliest(const Tensor& logits, int64_t columns, Tensor& ids) {
  const Shape& shape = logits.shape();
  require(shape.rank() == 2 && columns > 0 && columns <= shape[1], "likeliest: logits ", shape, " do not have ",
          columns, " columns");
  require(ids.dtype() == DType::i32 && ids.shape() == Shape{shape[0]}, "likeliest: ids ", name_of(ids.dtype()), ' ',
          ids.shape(), " do not fit logits ", shape);
  likeliest_kernel({0, shape[0] * columns * size_of(logits.dtype()) + ids.bytes()}, logits, columns, ids);
}

}  // namespace lathe
