#include "lathe/ops/cross_entropy.h"

#include "lathe/tensor/elements.cuh"
#include "lathe/tensor/launch.cuh"
#include "lathe/tensor/reduce.cuh"

namespace lathe {
namespace {

constexpr int kGroups = 8;               // of copies under way into shared memory
constexpr int kHeld = 2;                 // packs that a thread keeps in registers
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

/// 2^x to two units in the last place; 0 for -infinity.
__device__ float power_of_two(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

/// One thread's part of a softmax denominator (Milakov & Gimelshein 2018), and the sum of its logits.
struct Softmax {
  bool averages;  ///< whether that sum is wanted
  float highest = MaximumOf::kNeutral, scaled = 0, sum = 0, logits = 0;

  template <int size>
  __device__ void take(const float (&x)[size]) {
    float higher = highest;
#pragma unroll
    for (int i = 0; i < size; ++i) higher = fmaxf(higher, x[i]);
    if (higher > highest) {
      sum *= power_of_two((highest - higher) * kLog2e);
      highest = higher, scaled = higher * kLog2e;
    }
#pragma unroll
    for (int i = 0; i < size; ++i) sum += power_of_two(x[i] * kLog2e - scaled);
    if (!averages) return;
#pragma unroll
    for (int i = 0; i < size; ++i) logits += x[i];
  }
  template <int size, class T>
  __device__ void take(const Pack<T, size>& pack) {
    float x[size];
#pragma unroll
    for (int i = 0; i < size; ++i) x[i] = to_float(pack.values[i]);
    take(x);
  }
};

/// What the second pass needs of the first.
struct Gradient {
  float scaled_log_sum, share, spread, hit;
  int target;
  __device__ float operator()(float logit) const {
    return share * power_of_two(logit * kLog2e - scaled_log_sum) - spread;
  }
};

/// A row as the threads of its block hold it. Packs go round the threads: the first `kept` are in shared memory, two
/// more a thread in registers, and those beyond are read twice, the second time from the L2 cache.
template <int size, class T>
class Row {
 public:
  __device__ Row(T* row, int vocabulary, int columns, int kept, Pack<T, size>* shared)
      : row_(row),
        shared_(shared),
        vocabulary_(vocabulary),
        columns_(columns),
        kept_(kept),
        count_(vocabulary / size),
        threads_(int(blockDim.x)) {}

  __device__ Softmax read(bool averages) {
    int each = (kept_ + kGroups * threads_ - 1) / (kGroups * threads_);
    fetch(each);
    Softmax softmax{averages};
#pragma unroll
    for (int h = 0; h < kHeld; ++h)
      if (held(h) < count_) held_[h] = packs()[held(h)];
#pragma unroll 4
    for (int at = held(kHeld); at < count_; at += threads_) softmax.take(packs()[at]);
    for (int v = count_ * size + thread(); v < vocabulary_; v += threads_) softmax.take({to_float(row_[v])});
#pragma unroll
    for (int h = 0; h < kHeld; ++h)
      if (held(h) < count_) softmax.take(held_[h]);
    take_groups<kGroups - 1>(softmax, each);
    return softmax;
  }

  __device__ void write(const Gradient& gradient) {
#pragma unroll 2
    for (int at = thread(); at < kept_; at += threads_) write(gradient, shared_[at], at);
#pragma unroll
    for (int h = 0; h < kHeld; ++h)
      if (held(h) < count_) write(gradient, held_[h], held(h));
#pragma unroll 2
    for (int at = held(kHeld); at < count_; at += threads_) write(gradient, packs()[at], at);
    for (int v = count_ * size + thread(); v < columns_; v += threads_) {
      float d = v < vocabulary_ ? gradient(to_float(row_[v])) : 0.0f;
      row_[v] = from_float<T>(v == gradient.target ? d - gradient.hit : d);
    }
  }

 private:
  T* row_;
  Pack<T, size>* shared_;
  int vocabulary_, columns_, kept_, count_, threads_;
  Pack<T, size> held_[kHeld];

  __device__ static int thread() { return int(threadIdx.x); }
  __device__ int held(int h) const { return kept_ + h * threads_ + thread(); }
  __device__ Pack<T, size>* packs() const { return reinterpret_cast<Pack<T, size>*>(row_); }

  /// Starts the copies of all packs that shared memory keeps, `each` of them a thread and group. Threads read back
  /// what they copied themselves, so that nobody waits for others.
  __device__ void fetch(int each) {
    for (int group = 0; group < kGroups; ++group) {
      for (int i = group * each; i < (group + 1) * each; ++i)
        if (int at = i * threads_ + thread(); at < kept_)
          asm volatile(
              "cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(unsigned(__cvta_generic_to_shared(shared_ + at))),
              "l"(packs() + at)
              : "memory");
      asm volatile("cp.async.commit_group;" ::: "memory");
    }
  }

  /// Takes the groups in the order of their copies; `left` may still be under way when the first is taken.
  template <int left>
  __device__ void take_groups(Softmax& softmax, int each) {
    asm volatile("cp.async.wait_group %0;" ::"n"(left) : "memory");
    int group = kGroups - 1 - left;
    for (int i = group * each; i < (group + 1) * each; ++i)
      if (int at = i * threads_ + thread(); at < kept_) softmax.take(shared_[at]);
    if constexpr (left > 0) take_groups<left - 1>(softmax, each);
  }

  __device__ void write(const Gradient& gradient, const Pack<T, size>& logits, int at) {
    float d[size];
#pragma unroll
    for (int i = 0; i < size; ++i) d[i] = gradient(to_float(logits.values[i]));
    if (gradient.target / size == at) {
#pragma unroll
      for (int i = 0; i < size; ++i) d[i] -= gradient.target % size == i ? gradient.hit : 0.0f;
    }
    store(d, row_ + at * size);
  }
};

template <int size, class T>
__device__ void zero_row(T* row, int columns) {
  float zeros[size] = {};
  for (int first = int(threadIdx.x) * size; first + size <= columns; first += int(blockDim.x) * size)
    store(zeros, row + first);
}

/// A block a row, which is read once, as far as the block can hold it, and written once.
template <int size, class T>
__global__ void __launch_bounds__(1024) score_rows(const Scores<T> scores, bool differentiate) {
  extern __shared__ __align__(16) unsigned char bytes[];
  int64_t r = blockIdx.x;
  int target = scores.targets[r];
  T* logits = scores.logits + r * scores.columns;
  if (target < 0) {
    if (threadIdx.x == 0) scores.losses[r] = 0;
    if (differentiate) zero_row<size>(logits, scores.columns);
    return;
  }
  float of_target = to_float(logits[target]), smoothing = scores.options.label_smoothing;
  float z_loss = scores.options.z_loss, vocabulary = float(scores.vocabulary);
  Row<size, T> row(logits, scores.vocabulary, scores.columns, scores.kept, reinterpret_cast<Pack<T, size>*>(bytes));
  Softmax own = row.read(smoothing != 0);
  float highest = over_block(own.highest, MaximumOf());
  float sum = over_block(own.sum * power_of_two((own.highest - highest) * kLog2e), SumOf());
  float log_sum = highest + logf(sum), average = smoothing != 0 ? over_block(own.logits, SumOf()) / vocabulary : 0.0f;
  if (threadIdx.x == 0)
    scores.losses[r] = log_sum - (1 - smoothing) * of_target - smoothing * average + z_loss * log_sum * log_sum;
  if (!differentiate) return;
  float weight = scores.weights[r * scores.weight_step];
  row.write(Gradient{log_sum * kLog2e, weight * (1 + 2 * z_loss * log_sum), weight * smoothing / vocabulary,
                     weight * (1 - smoothing), target});
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
  int64_t shared = size == 1 ? 0 : std::min(row_bytes, capacity) / 16 * 16;  // copies into it are of 16 bytes
  scores.kept = int(shared / 16);
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
