#include "lathe/ops/cross_entropy.h"

#include <cmath>

#include "lathe/ops/elementwise.h"
#include "lathe/ops/gradient_target.h"
#include "lathe/ops/parallel.h"
#include "lathe/tensor/sum.h"
#include "lathe/tensor/tape.h"

namespace lathe {

void cross_entropy(const Tensor& targets, const Tensor& weights, const CrossEntropyOptions& options, bool differentiate,
                   Tensor& logits, Tensor& losses) {
  int64_t rows = logits.shape().rows();
  require(targets.dtype() == DType::i32 && targets.elements() == rows, "cross_entropy: targets ",
          name_of(targets.dtype()), ' ', targets.shape(), " do not fit logits ", logits.shape());
  require(weights.dtype() == DType::f32 && (weights.elements() == 1 || weights.elements() == rows),
          "cross_entropy: weights ", name_of(weights.dtype()), ' ', weights.shape(), " must be f32 [1] or [", rows,
          ']');
  require(losses.dtype() == DType::f32 && losses.elements() == rows, "cross_entropy: losses ", losses.shape(),
          " do not fit logits ", logits.shape());
  require(options.vocabulary >= 0 && options.vocabulary <= logits.shape().columns(), "cross_entropy: a vocabulary of ",
          options.vocabulary, " does not fit logits ", logits.shape());
  int64_t bytes = (differentiate ? 2 : 1) * logits.bytes() + targets.bytes() + weights.bytes() + losses.bytes();
  CrossEntropyOptions complete = options;
  if (complete.vocabulary == 0) complete.vocabulary = logits.shape().columns();
  cross_entropy_kernel({(differentiate ? 8 : 4) * logits.elements(), bytes}, targets, weights, complete, differentiate,
                       logits, losses);
}

namespace {

/// log p = -loss, so its gradient is dloss/dlogits times -dy.
Tensor differentiate_log_probs(const Tensor& logits, const Tensor& targets, int64_t vocabulary, const Tensor& dy) {
  Tensor dlogits = gradient_over(logits, logits);
  if (dlogits.shared_storage() != logits.shared_storage()) copy(logits, dlogits);
  PurposeScope workspace(Purpose::workspace);
  Tensor weights = Tensor::empty(dy.shape()), losses = Tensor::empty(dy.shape());
  scale_kernel({dy.elements(), 2 * dy.bytes()}, dy, -1, weights);
  cross_entropy(targets, weights, {.vocabulary = vocabulary}, true, dlogits, losses);
  return dlogits;
}

}  // namespace

Tensor token_log_probs_of(const Tensor& logits, const Tensor& targets, int64_t vocabulary) {
  Tensor losses = Tensor::empty({logits.shape().rows()}), out = losses;
  Tensor one = zeros({1});
  Tensor read = logits.detached();
  cross_entropy(targets, one, {.vocabulary = vocabulary}, false, read, losses);
  scale_kernel({losses.elements(), 2 * losses.bytes()}, losses, -1, out);
  record({&out}, {&logits},
         {[logits = logits.detached(), targets, vocabulary](std::span<const Tensor> dy) -> Gradients {
           return {differentiate_log_probs(logits, targets, vocabulary, dy[0])};
         }});
  return out;
}

namespace {

struct Totals {
  float log_sum;   ///< log of the sum of exp(logit)
  double average;  ///< of the logits
};

template <class T>
Totals totals_of(const T* logits, int64_t vocabulary) {
  float highest = float(logits[0]);
  double average = 0, sum = 0;
  for (int64_t v = 0; v < vocabulary; ++v) {
    highest = std::max(highest, float(logits[v]));
    average += double(float(logits[v])) / double(vocabulary);
  }
  for (int64_t v = 0; v < vocabulary; ++v) sum += double(std::exp(float(logits[v]) - highest));
  return {highest + float(std::log(sum)), average};
}

/// dloss/dlogit_v = p_v * (1 + 2 z log_sum) - smoothing / vocabulary - (1 - smoothing) * (v is the target).
template <class T>
void write_gradient(const Totals& totals, const CrossEntropyOptions& options, int64_t target, float weight,
                    int64_t vocabulary, T* logits) {
  float share = weight * (1 + 2 * options.z_loss * totals.log_sum);
  float spread = weight * options.label_smoothing / float(vocabulary);
  for (int64_t v = 0; v < vocabulary; ++v) {
    float d = share * std::exp(float(logits[v]) - totals.log_sum) - spread;
    logits[v] = T(v == target ? d - weight * (1 - options.label_smoothing) : d);
  }
}

void cross_entropy_plain(const Tensor& targets, const Tensor& weights, CrossEntropyOptions options, bool differentiate,
                         Tensor& logits, Tensor& losses) {
  visit_floating(logits.dtype(), [&]<class T>(Element<T>) {
    int64_t rows = logits.shape().rows(), columns = logits.shape().columns();
    int64_t vocabulary = options.vocabulary;
    const float* weight = weights.data<float>();
    bool one_weight = weights.elements() == 1;
#pragma omp parallel for schedule(static) if (logits.elements() > kParallelElements)
    for (int64_t r = 0; r < rows; ++r) {
      T* row = logits.data<T>() + r * columns;
      int64_t target = targets.data<int32_t>()[r];
      losses.data<float>()[r] = 0;
      if (differentiate) std::fill(target < 0 ? row : row + vocabulary, row + columns, T(0.0f));
      if (target < 0) continue;
      Totals totals = totals_of(row, vocabulary);
      float smoothing = options.label_smoothing;
      losses.data<float>()[r] = totals.log_sum - (1 - smoothing) * float(row[target]) -
                                smoothing * float(totals.average) + options.z_loss * totals.log_sum * totals.log_sum;
      if (differentiate) write_gradient(totals, options, target, weight[one_weight ? 0 : r], vocabulary, row);
    }
  });
}

const bool provided = cross_entropy_kernel.provide(Isa::plain, cross_entropy_plain);

}  // namespace
}  // namespace lathe
