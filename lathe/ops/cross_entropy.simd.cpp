#include "lathe/ops/cross_entropy.h"
#include "lathe/ops/parallel.h"
#include "lathe/tensor/lanes.h"

namespace lathe::LATHE_ISA {
namespace {

constexpr int64_t kBlock = 2048;  // numbers summed in f32 before they join a sum in f64

int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

template <class T>
float highest_of(const T* logits, int64_t count) {
  float highest = wide(logits[0]);
#pragma omp simd reduction(max : highest)
  for (int64_t v = 0; v < count; ++v) {
    float value = wide(logits[v]);
    highest = value > highest ? value : highest;
  }
  return highest;
}

struct Sums {
  double exponentials = 0, logits = 0;
};

/// Of exp(logit - highest), and of the logits.
template <class T>
Sums sums_of(const T* logits, int64_t count, float highest) {
  Sums sums;
  for (int64_t first = 0; first < count; first += kBlock) {
    float exponentials = 0, plain = 0;
#pragma omp simd reduction(+ : exponentials, plain)
    for (int64_t v = first; v < least(first + kBlock, count); ++v) {
      float value = wide(logits[v]);
      exponentials += exp_of(value - highest);
      plain += value;
    }
    sums.exponentials += double(exponentials), sums.logits += double(plain);
  }
  return sums;
}

/// logits = share * p - spread, but for the target, from which `hit` is taken too.
template <class T>
void write_gradient(T* logits, int64_t count, float log_sum, float share, float spread, int64_t target, float hit) {
  float own = share * exp_of(wide(logits[target]) - log_sum) - spread - hit;
#pragma omp simd
  for (int64_t v = 0; v < count; ++v) narrow(share * exp_of(wide(logits[v]) - log_sum) - spread, logits[v]);
  narrow(own, logits[target]);
}

template <class T>
void zero(T* logits, T* end) {
#pragma omp simd
  for (T* v = logits; v < end; ++v) narrow(0.0f, *v);
}

template <class T>
float score_row(T* logits, int64_t count, int64_t target, const CrossEntropyOptions& options, const float* weight) {
  float highest = highest_of(logits, count), smoothing = options.label_smoothing;
  Sums sums = sums_of(logits, count, highest);
  float log_sum = highest + float(__builtin_log(sums.exponentials));
  float average = float(sums.logits / double(count));
  float loss =
      log_sum - (1 - smoothing) * wide(logits[target]) - smoothing * average + options.z_loss * log_sum * log_sum;
  if (weight)
    write_gradient(logits, count, log_sum, *weight * (1 + 2 * options.z_loss * log_sum),
                   *weight * smoothing / float(count), target, *weight * (1 - smoothing));
  return loss;
}

void cross_entropy_simd(const Tensor& targets, const Tensor& weights, CrossEntropyOptions options, bool differentiate,
                        Tensor& logits, Tensor& losses) {
  visit_floating(logits.dtype(), [&]<class T>(Element<T>) {
    int64_t rows = logits.shape().rows(), columns = logits.shape().columns();
    int64_t vocabulary = options.vocabulary;
    const float* weight = weights.data<float>();
    int64_t weight_step = weights.elements() == 1 ? 0 : 1;
    const int32_t* target = targets.data<int32_t>();
    float* loss = losses.data<float>();
#pragma omp parallel for schedule(static) if (rows * columns > kParallelElements)
    for (int64_t r = 0; r < rows; ++r) {
      T* row = logits.data<T>() + r * columns;
      loss[r] = 0;
      if (target[r] >= 0)
        loss[r] = score_row(row, vocabulary, target[r], options, differentiate ? weight + r * weight_step : nullptr);
      if (differentiate) zero(target[r] < 0 ? row : row + vocabulary, row + columns);
    }
  });
}

const bool provided = cross_entropy_kernel.provide(kThisIsa, cross_entropy_simd);

}  // namespace
}  // namespace lathe::LATHE_ISA
