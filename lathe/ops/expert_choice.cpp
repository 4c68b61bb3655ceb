#include "lathe/ops/expert_choice.h"

#include <algorithm>
#include <cmath>

#include "lathe/base/error.h"
#include "lathe/ops/gradient_target.h"
#include "lathe/ops/parallel.h"
#include "lathe/tensor/tape.h"

namespace lathe {

ExpertChoice choose_experts(const Tensor& logits, int64_t chosen) {
  int64_t tokens = logits.shape().rows(), count = logits.shape().columns(), choices = tokens * chosen;
  require(chosen > 0 && chosen <= count, "choose_experts: ", chosen, " of ", count, " experts");
  Tensor experts = Tensor::empty({tokens, chosen}, DType::i32);
  ExpertChoice choice{.shares = Tensor::empty({tokens, chosen}),
                      .offsets = Tensor::empty({count + 1}, DType::i32),
                      .tokens = Tensor::empty({choices}, DType::i32),
                      .rows = Tensor::empty({choices}, DType::i32)};
  choose_experts_kernel({logits.elements() * chosen, logits.bytes() + 8 * choices}, logits, experts, choice.shares);
  sort_choices_kernel({choices, 12 * choices + 4 * count}, experts, choice.offsets, choice.tokens, choice.rows);
  record({&choice.shares}, {&logits},
         {[experts, shares = choice.shares.detached(), shape = logits.shape(),
           dtype = logits.dtype()](std::span<const Tensor> dy) -> Gradients {
           Tensor dlogits = Tensor::empty(shape, dtype);
           choose_experts_backward_kernel({4 * shares.elements(), dlogits.bytes() + 3 * shares.bytes()}, experts,
                                          shares, dy[0], dlogits);
           return {dlogits};
         }});
  return choice;
}

Tensor mix_experts(const Tensor& y, const ExpertChoice& choice) {
  const Tensor &shares = choice.shares, &rows = choice.rows;
  int64_t columns = y.shape().columns();
  require(y.shape().rank() == 2 && y.shape()[0] == shares.elements(), "mix_experts: y ", y.shape(), " does not fit ",
          shares.shape(), " choices");
  Tensor out = Tensor::empty({shares.shape()[0], columns}, y.dtype());
  mix_experts_kernel({2 * y.elements(), y.bytes() + out.bytes()}, y, rows, shares, out);
  bool needs_dshares = shares.needs_gradient();
  record({&out}, {&y, &shares},
         {[y = y.detached(), rows, shares = shares.detached(), needs_dshares](std::span<const Tensor> dy) -> Gradients {
           Tensor drows = Tensor::empty_like(y), dshares = needs_dshares ? Tensor::empty_like(shares) : Tensor();
           mix_experts_backward_kernel({4 * y.elements(), 3 * y.bytes()}, y, rows, shares, dy[0], drows, dshares);
           return {drows, dshares};
         }});
  return out;
}

namespace {

void choose_experts_plain(const Tensor& logits, Tensor& experts, Tensor& shares) {
  int64_t tokens = experts.shape()[0], chosen = experts.shape()[1], count = logits.shape().columns();
  visit_floating(logits.dtype(), [&]<class T>(Element<T>) {
    for (int64_t t = 0; t < tokens; ++t) {
      const T* row = logits.data<T>() + t * count;
      int32_t* best = experts.data<int32_t>() + t * chosen;
      float *share = shares.data<float>() + t * chosen, sum = 0;
      for (int64_t j = 0; j < chosen; ++j) {
        best[j] = -1;
        for (int32_t e = 0; e < int32_t(count); ++e)
          if (std::find(best, best + j, e) == best + j && (best[j] < 0 || float(row[e]) > float(row[best[j]])))
            best[j] = e;
        sum += share[j] = std::exp(float(row[best[j]]) - float(row[best[0]]));
      }
      for (int64_t j = 0; j < chosen; ++j) share[j] /= sum;
    }
  });
}

void choose_experts_backward_plain(const Tensor& experts, const Tensor& shares, const Tensor& dshares,
                                   Tensor& dlogits) {
  int64_t tokens = experts.shape()[0], chosen = experts.shape()[1], count = dlogits.shape().columns();
  visit_floating(dlogits.dtype(), [&]<class T>(Element<T>) {
    for (int64_t t = 0; t < tokens; ++t) {
      const float *share = shares.data<float>() + t * chosen, *d = dshares.data<float>() + t * chosen;
      float mean = 0;
      for (int64_t j = 0; j < chosen; ++j) mean += share[j] * d[j];
      T* to = dlogits.data<T>() + t * count;
      std::fill_n(to, count, T(0.0f));
      for (int64_t j = 0; j < chosen; ++j) to[experts.data<int32_t>()[t * chosen + j]] = T(share[j] * (d[j] - mean));
    }
  });
}

void sort_choices_plain(const Tensor& experts, Tensor& offsets, Tensor& tokens, Tensor& rows) {
  int64_t choices = experts.elements(), chosen = experts.shape()[1], count = offsets.elements() - 1;
  const int32_t* expert = experts.data<int32_t>();
  int32_t *begin = offsets.data<int32_t>(), row = 0;
  for (int64_t e = 0; e < count; ++e) {
    begin[e] = row;
    for (int64_t i = 0; i < choices; ++i) {
      if (expert[i] != e) continue;
      tokens.data<int32_t>()[row] = int32_t(i / chosen);
      rows.data<int32_t>()[i] = row++;
    }
  }
  begin[count] = row;
}

void mix_experts_plain(const Tensor& y, const Tensor& rows, const Tensor& shares, Tensor& out) {
  int64_t tokens = shares.shape()[0], chosen = shares.shape()[1], columns = y.shape().columns();
  visit_floating(y.dtype(), [&]<class T>(Element<T>) {
#pragma omp parallel for schedule(static) if (y.elements() > kParallelElements)
    for (int64_t t = 0; t < tokens; ++t) {
      T* to = out.data<T>() + t * columns;
      for (int64_t c = 0; c < columns; ++c) {
        float sum = 0;
        for (int64_t j = t * chosen; j < (t + 1) * chosen; ++j)
          sum += shares.data<float>()[j] * float(y.data<T>()[rows.data<int32_t>()[j] * columns + c]);
        to[c] = T(sum);
      }
    }
  });
}

void mix_experts_backward_plain(const Tensor& y, const Tensor& rows, const Tensor& shares, const Tensor& dout,
                                Tensor& dy, Tensor& dshares) {
  int64_t choices = shares.elements(), chosen = shares.shape()[1], columns = y.shape().columns();
  visit_floating(y.dtype(), [&]<class T>(Element<T>) {
#pragma omp parallel for schedule(static) if (y.elements() > kParallelElements)
    for (int64_t j = 0; j < choices; ++j) {
      int64_t row = rows.data<int32_t>()[j];
      const T *d = dout.data<T>() + j / chosen * columns, *from = y.data<T>() + row * columns;
      T* to = dy.data<T>() + row * columns;
      float share = shares.data<float>()[j], dot = 0;
      for (int64_t c = 0; c < columns; ++c) {
        dot += float(d[c]) * float(from[c]);
        to[c] = T(share * float(d[c]));
      }
      if (dshares) dshares.data<float>()[j] = dot;
    }
  });
}

const bool provided = choose_experts_kernel.provide(Isa::plain, choose_experts_plain) &&
                      choose_experts_backward_kernel.provide(Isa::plain, choose_experts_backward_plain) &&
                      sort_choices_kernel.provide(Isa::plain, sort_choices_plain) &&
                      mix_experts_kernel.provide(Isa::plain, mix_experts_plain) &&
                      mix_experts_backward_kernel.provide(Isa::plain, mix_experts_backward_plain);

}  // namespace
}  // namespace lathe
