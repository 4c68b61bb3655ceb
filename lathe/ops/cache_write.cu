#include "lathe/ops/cache_write.h"

#include "lathe/tensor/elements.cuh"
#include "lathe/tensor/launch.cuh"

namespace lathe {
namespace {

/// A grid-stride loop over words of `Word`; a token has `row` of them, the first `q_row` its queries.
template <class Word>
__global__ void write_words(const Word* qkv, const int* slots, int64_t row, int64_t q_row, int64_t words, Word* q,
                            Word* cache) {
  for (int64_t i = blockIdx.x * int64_t(blockDim.x) + threadIdx.x; i < words; i += int64_t(gridDim.x) * blockDim.x) {
    int64_t token = i / row, at = i % row;
    if (at < q_row)
      q[token * q_row + at] = qkv[i];
    else
      cache[slots[token] * (row - q_row) + at - q_row] = qkv[i];
  }
}

template <class Word>
void launch_write(const Tensor& qkv, const Tensor& slots, int64_t heads, Tensor& q, Tensor& cache) {
  int64_t head = qkv.shape()[2] * size_of(qkv.dtype()) / int64_t(sizeof(Word)),
          words = qkv.elements() / qkv.shape()[2] * head;
  write_words<<<blocks_for(words), kThreads, 0, stream_of(q)>>>(on_device<const Word>(qkv), on_device<const int>(slots),
                                                                qkv.shape()[1] * head, heads * head, words,
                                                                on_device<Word>(q), on_device<Word>(cache));
  check_launch("cache_write");
}

void cache_write_cuda(const Tensor& qkv, const Tensor& slots, int64_t heads, Tensor& q, Tensor& cache) {
  if (qkv.elements() == 0) return;
  if (packs_fit(int(16 / size_of(qkv.dtype())), qkv.shape()[2], {&qkv, &q, &cache}))
    launch_write<uint4>(qkv, slots, heads, q, cache);
  else
    launch_write<uint16_t>(qkv, slots, heads, q, cache);
}

const bool provided = cache_write_kernel.provide(Backend::cuda, cache_write_cuda);

}  // namespace
}  // namespace lathe
