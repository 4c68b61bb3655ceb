#include "lathe/ops/cache_write.h"

#include <cstring>

#include "lathe/ops/parallel.h"

namespace lathe {

void check_cache_write(const Tensor& qkv, const Tensor& slots, int64_t heads, const Tensor& cache) {
  const Shape &x = qkv.shape(), &c = cache.shape();
  require(x.rank() == 3 && c.rank() == 3 && x[1] == heads + c[1] && x[2] == c[2] && qkv.dtype() == cache.dtype(),
          "cache_write: qkv ", name_of(qkv.dtype()), ' ', x, " with ", heads,
          " heads of queries does not fit the cache ", name_of(cache.dtype()), ' ', c);
  require(slots.dtype() == DType::i32 && slots.shape() == Shape{x[0]}, "cache_write: slots ", name_of(slots.dtype()),
          ' ', slots.shape(), " do not fit qkv ", x, "; they must be i32 [", x[0], "]");
}

Tensor cache_write(const Tensor& qkv, const Tensor& slots, int64_t heads, Tensor& cache) {
  check_cache_write(qkv, slots, heads, cache);
  Tensor q = Tensor::empty({qkv.shape()[0], heads, qkv.shape()[2]}, qkv.dtype());
  cache_write_kernel({0, 2 * qkv.bytes() + slots.bytes()}, qkv, slots, heads, q, cache);
  return q;
}

namespace {

void cache_write_plain(const Tensor& qkv, const Tensor& slots, int64_t heads, Tensor& q, Tensor& cache) {
  int64_t tokens = qkv.shape()[0], head_bytes = qkv.shape()[2] * size_of(qkv.dtype());
  int64_t row = qkv.shape()[1] * head_bytes, q_row = heads * head_bytes, cache_row = row - q_row;
#pragma omp parallel for schedule(static) if (qkv.elements() > kParallelElements)
  for (int64_t i = 0; i < tokens; ++i) {
    const std::byte* from = qkv.data<std::byte>() + i * row;
    std::memcpy(q.data<std::byte>() + i * q_row, from, size_t(q_row));
    std::memcpy(cache.data<std::byte>() + slots.data<int32_t>()[i] * cache_row, from + q_row, size_t(cache_row));
  }
}

const bool provided = cache_write_kernel.provide(Isa::plain, cache_write_plain);

}  // namespace
}  // namespace lathe
