#include "lathe/ops/rotary_cache.h"

#include "lathe/ops/cache_write.h"

namespace lathe {

Tensor rotary_cache(const Tensor& qkv, const Tensor& positions, const RotarySpec& spec, const Tensor& slots,
                    int64_t heads, Tensor& cache) {
  check_cache_write(qkv, slots, heads, cache);
  int64_t rotated_heads = heads + cache.shape()[1] / 2;
  if (qkv.device().backend == Backend::cpu)
    return cache_write(rotary(qkv, positions, rotated_heads, spec), slots, heads, cache);
  check_rotary(qkv, positions, rotated_heads, spec);
  Tensor q = Tensor::empty({qkv.shape()[0], heads, qkv.shape()[2]}, qkv.dtype());
  int64_t rotated = qkv.shape()[0] * rotated_heads * spec.dims;
  rotary_cache_kernel({3 * rotated, 2 * qkv.bytes() + slots.bytes() + positions.bytes()}, qkv, positions, spec, slots,
                      q, cache);
  return q;
}

}  // namespace lathe
