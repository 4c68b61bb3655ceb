#include <cstring>

#include "lathe/ops/matmul_matrix.h"

namespace lathe {
namespace {

/// One element of the product, summed in f32 in the order of depth.
template <class T>
float element(const MatrixProduct& product, int64_t i, int64_t j) {
  const T* a = reinterpret_cast<const T*>(product.a.data);
  const T* b = reinterpret_cast<const T*>(product.b.data);
  int64_t a_step = product.a.across ? product.a.stride : 1, b_step = product.b.across ? product.b.stride : 1;
  a += i * (product.a.across ? 1 : product.a.stride);
  b += j * (product.b.across ? 1 : product.b.stride);
  float sum = 0;
  for (int64_t k = 0; k < product.a.depth; ++k) sum += float(a[k * a_step]) * float(b[k * b_step]);
  return sum;
}

template <class T, class Out>
void multiply_rows(const MatrixProduct& product) {
  Out* out = reinterpret_cast<Out*>(product.out);
  const Out* residual = reinterpret_cast<const Out*>(product.residual);
  int64_t columns = product.b.outer, elements = product.a.outer * columns;
#pragma omp parallel for schedule(static) if (elements * product.a.depth > 65536)
  for (int64_t at = 0; at < elements; ++at) {
    float sum = element<T>(product, at / columns, at % columns);
    if (product.add) sum += float(out[at]);
    if (product.bias) sum += product.bias[at % columns];
    if (residual) sum += float(residual[at]);
    out[at] = Out(sum);
    if (product.activation) out[at] = Out(activation_of(*product.activation, float(out[at])));
  }
}

void multiply_plain(const MatrixProduct& product) {
  visit_floating(product.a.dtype, [&]<class T>(Element<T>) {
    visit_floating(product.out_dtype, [&]<class Out>(Element<Out>) { multiply_rows<T, Out>(product); });
  });
}

/// Packed is as it was: plain loops read any order.
void pack_plain(const Matrix& matrix, std::byte* to) {
  std::memcpy(to, matrix.data, size_t(matrix.outer * matrix.depth * size_of(matrix.dtype)));
}

const bool provided = provide_products<multiply_plain>(Isa::plain) && provide_packing<pack_plain>(Isa::plain);

}  // namespace
}  // namespace lathe
