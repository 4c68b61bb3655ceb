#include "lathe/ops/cross_entropy.h"

#include "lathe/tensor/elements.cuh"
#include "lathe/tensor/launch.cuh"
#include "lathe/tensor/reduce.cuh"

namespace lathe {
namespace {

constexpr int kBatch = 4;                // packs that a thread loads before it uses the first
constexpr int kReservedBytes = 1 << 10;  // of a block's shared memory: what the reductions and CUDA itself take
constexpr float kLog2e = 1.44269504f;

/// What a launch reads and writes.
template <class T>
struct Scores {
  const int32_t* targets;
  const float* weights;
  int64_t weight_step;  ///< 0: one weight for all rows
  float* losses;
  T* logits;
  int columns, vocabulary;
  CrossEntropyOptions options;
  int kept;  ///< packs of a row that stay in shared memory between the two passes
};

/// e^x to two units in the last place; 0 for -infinity.
__device__ float exp_of(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x * kLog2e));
  return y;
}

/// One thread's part of a softmax denominator (Milakov & Gimelshein 2018), and the sum of its logits.
struct Softmax {
  float highest = MaximumOf::kNeutral, sum = 0, logits = 0;

  template <int size>
  __device__ void take(const float (&x)[size]) {
    float higher = highest;
#pragma unroll
    for (int i = 0; i < size; ++i) higher = fmaxf(higher, x[i]);
    if (higher > highest) sum *= exp_of(highest - higher), highest = higher;
#pragma unroll
    for (int i = 0; i < size; ++i) sum += exp_of(x[i] - highest), logits += x[i];
  }
};

/// What the second pass needs of the first.
struct Gradient {
  float log_sum, share, spread, hit;
  __device__ float operator()(float logit) const { return share * exp_of(logit - log_sum) - spread; }
};

/// Packs thread, thread + threads, ... of a row, of which the first `kept` are left in shared memory.
template <int size, class T>
__device__ Softmax read_row(const T* row, int vocabulary, int kept, Pack<T, size>* shared) {
  auto* packs = reinterpret_cast<const Pack<T, size>*>(row);
  int count = vocabulary / size, threads = int(blockDim.x);
  Softmax softmax;
  for (int first = int(threadIdx.x); first < count; first += kBatch * threads) {
    Pack<T, size> batch[kBatch];
#pragma unroll
    for (int b = 0; b < kBatch; ++b)
      if (first + b * threads < count) batch[b] = packs[first + b * threads];
#pragma unroll
    for (int b = 0; b < kBatch; ++b) {
      int at = first + b * threads;
      if (at >= count) break;
      if (at < kept) shared[at] = batch[b];
      float x[size];
#pragma unroll
      for (int i = 0; i < size; ++i) x[i] = to_float(batch[b].values[i]);
      softmax.take(x);
    }
  }
  for (int v = count * size + int(threadIdx.x); v < vocabulary; v += threads) softmax.take({to_float(row[v])});
  return softmax;
}

/// The packs that the thread read, as gradients; where the row was too long for shared memory, the L2 cache has it.
template <int size, class T>
__device__ void write_row(const Gradient& gradient, int target, int vocabulary, int columns, int kept,
                          const Pack<T, size>* shared, T* row) {
  auto* packs = reinterpret_cast<Pack<T, size>*>(row);
  int count = vocabulary / size, threads = int(blockDim.x);
#pragma unroll 2
  for (int at = int(threadIdx.x); at < count; at += threads) {
    Pack<T, size> logits = at < kept ? shared[at] : packs[at];
    float d[size];
#pragma unroll
    for (int i = 0; i < size; ++i) d[i] = gradient(to_float(logits.values[i]));
    if (target / size == at) {
#pragma unroll
      for (int i = 0; i < size; ++i) d[i] -= target % size == i ? gradient.hit : 0.0f;
    }
    store(d, row + at * size);
  }
  for (int v = count * size + int(threadIdx.x); v < columns; v += threads) {
    float d = v < vocabulary ? gradient(to_float(row[v])) - (v == target ? gradient.hit : 0.0f) : 0.0f;
    row[v] = from_float<T>(d);
  }
}

template <int size, class T>
__device__ void zero_row(T* row, int columns) {
  float zeros[size] = {};
  for (int first = int(threadIdx.x) * size; first + size <= columns; first += int(blockDim.x) * size)
    store(zeros, row + first);
}

/// A block a row. The row is read once, as long as shared memory holds it, and written once.
template <int size, class T>
__global__ void __launch_bounds__(1024) score_rows(const Scores<T> scores, bool differentiate) {
  extern __shared__ __align__(16) unsigned char bytes[];
  auto* shared = reinterpret_cast<Pack<T, size>*>(bytes);
  const CrossEntropyOptions& options = scores.options;
  int64_t r = blockIdx.x;
  int target = scores.targets[r];
  T* row = scores.logits + r * scores.columns;
  if (target < 0) {
    if (threadIdx.x == 0) scores.losses[r] = 0;
    if (differentiate) zero_row<size>(row, scores.columns);
    return;
  }
  float of_target = to_float(row[target]);
  Softmax own = read_row<size>(row, scores.vocabulary, differentiate ? scores.kept : 0, shared);
  float highest = over_block(own.highest, MaximumOf());
  float log_sum = highest + logf(over_block(own.sum * exp_of(own.highest - highest), SumOf()));
  float average = options.label_smoothing != 0 ? over_block(own.logits, SumOf()) / float(scores.vocabulary) : 0.0f;
  float smoothing = options.label_smoothing;
  if (threadIdx.x == 0)
    scores.losses[r] = log_sum - (1 - smoothing) * of_target - smoothing * average + options.z_loss * log_sum * log_sum;
  if (!differentiate) return;
  float weight = scores.weights[r * scores.weight_step];
  Gradient gradient{log_sum, weight * (1 + 2 * options.z_loss * log_sum), weight * smoothing / float(scores.vocabulary),
                    weight * (1 - smoothing)};
  write_row<size>(gradient, target, scores.vocabulary, scores.columns, scores.kept, shared, row);
}

/// Bytes of shared memory that a block may have on the current device.
int64_t shared_capacity() {
  int device = 0, bytes = 0;
  check_cuda(cudaGetDevice(&device), "asking for the device");
  check_cuda(cudaDeviceGetAttribute(&bytes, cudaDevAttrMaxSharedMemoryPerBlockOptin, device), "asking for memory");
  return bytes - kReservedBytes;
}

/// Blocks so large that a multiprocessor's threads are full: with rows of half its shared memory there are two.
unsigned threads_for(int64_t row_bytes, int64_t capacity) {
  if (row_bytes <= capacity / 16) return 256;
  return row_bytes + 2 * kReservedBytes <= capacity / 2 ? 512 : 1024;
}

template <int size, class T>
void launch_scores(Scores<T> scores, bool differentiate, int64_t rows, cudaStream_t stream) {
  int64_t row_bytes = scores.vocabulary * int64_t(sizeof(T)), capacity = shared_capacity();
  int64_t shared = differentiate ? std::min(row_bytes, capacity) / 16 * 16 : 0;
  scores.kept = int(shared / int64_t(sizeof(Pack<T, size>)));
  auto* kernel = score_rows<size, T>;
  check_cuda(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, int(capacity)), "cross_entropy");
  kernel<<<unsigned(rows), threads_for(row_bytes, capacity), size_t(shared), stream>>>(scores, differentiate);
  check_launch("cross_entropy");
}

void cross_entropy_cuda(const Tensor& targets, const Tensor& weights, CrossEntropyOptions options, bool differentiate,
                        Tensor& logits, Tensor& losses) {
  int64_t rows = logits.shape().rows(), columns = logits.shape().columns();
  if (rows == 0) return;
  visit_device(logits.dtype(), [&]<class T>(Element<T>) {
    Scores<T> scores{on_device<const int32_t>(targets),
                     on_device<const float>(weights),
                     weights.elements() == 1 ? 0 : 1,
                     on_device<float>(losses),
                     on_device<T>(logits),
                     int(columns),
                     int(options.vocabulary),
                     options,
                     0};
    constexpr int kPack = 16 / int(sizeof(T));
    if (packs_fit(kPack, columns, {&logits}))
      launch_scores<kPack>(scores, differentiate, rows, stream_of(logits));
    else
      launch_scores<1>(scores, differentiate, rows, stream_of(logits));
  });
}

const bool provided = cross_entropy_kernel.provide(Backend::cuda, cross_entropy_cuda);

}  // namespace
}  // namespace lathe
