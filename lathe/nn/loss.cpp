#include "lathe/nn/loss.h"

#include <algorithm>

#include "lathe/nn/catcher.h"
#include "lathe/ops/cross_entropy.h"
#include "lathe/tensor/sum.h"
#include "lathe/tensor/tape.h"

namespace lathe {
namespace {

void total_loss_plain(const Tensor& losses, const Tensor& scale, Tensor& loss) {
  double total = 0;
  for (int64_t i = 0; i < losses.elements(); ++i) total += losses.data<float>()[i];
  loss.data<float>()[0] = float(total * scale.data<float>()[0]);
}

const bool provided = total_loss_kernel.provide(Isa::plain, total_loss_plain);

/// The gradient of one chunk's rows goes where it belongs in that of all.
class ChunkSink : public GradientSink {
 public:
  explicit ChunkSink(Tensor into) : into_(std::move(into)) {}
  void receive(const Tensor& gradient) override {
    if (std::exchange(written_, true))
      accumulate(gradient, into_);
    else
      copy(gradient, into_);
  }

 private:
  Tensor into_;
  bool written_ = false;
};

struct Chunk {
  Tensor hidden, targets, losses;
  CrossEntropyOptions options;
};

void score(const Chunk& chunk, const Project& head, const Tensor& scale) {
  Recording paused(nullptr);
  Tensor logits = head(chunk.hidden), losses = chunk.losses;
  cross_entropy(chunk.targets, scale, chunk.options, false, logits, losses);
}

void score_and_differentiate(const Chunk& chunk, const Project& head, const Tensor& scale, Tensor dhidden) {
  ChunkSink sink(std::move(dhidden));
  Tensor rows = chunk.hidden, losses = chunk.losses;
  rows.make_leaf(&sink);
  Tape tape;
  Tensor logits;
  {
    Recording on(&tape);
    logits = head(rows);
  }
  Tensor dlogits = logits.unique() ? logits.detached() : copied(logits);  // the head may keep its logits: a soft cap
  cross_entropy(chunk.targets, scale, chunk.options, true, dlogits, losses);
  tape.backward(logits, std::move(dlogits));
}

}  // namespace

Tensor chunked_cross_entropy(const Tensor& hidden, const Project& head, const Tensor& targets, const Tensor& scale,
                             int64_t rows_per_chunk, int64_t vocabulary) {
  int64_t rows = hidden.shape()[0];
  require(targets.shape() == Shape{rows}, "chunked_cross_entropy: targets ", targets.shape(), " do not fit hidden ",
          hidden.shape());
  bool differentiate = Recording::current() != nullptr;
  Tensor losses = Tensor::empty({rows}), loss = Tensor::empty({1});
  Tensor dhidden = differentiate ? Tensor::empty_like(hidden) : Tensor();
  for (int64_t first = 0; first < rows; first += rows_per_chunk) {
    int64_t count = std::min(rows_per_chunk, rows - first);
    Chunk chunk{
        hidden.rows(first, count), targets.rows(first, count), losses.rows(first, count), {.vocabulary = vocabulary}};
    if (differentiate)
      score_and_differentiate(chunk, head, scale, dhidden.rows(first, count));
    else
      score(chunk, head, scale);
  }
  total_loss_kernel({rows, losses.bytes()}, losses, scale, loss);
  record({&loss}, {&hidden}, {[dhidden](std::span<const Tensor>) -> Gradients { return {dhidden}; }});
  return loss;
}

Tensor token_log_probs(const Tensor& hidden, const Project& head, const Tensor& targets, int64_t rows_per_chunk,
                       int64_t vocabulary) {
  int64_t rows = hidden.shape()[0];
  Tensor log_probs = Tensor::empty({rows});
  Recording paused(nullptr);
  for (int64_t first = 0; first < rows; first += rows_per_chunk) {
    int64_t count = std::min(rows_per_chunk, rows - first);
    Tensor logits = head(hidden.rows(first, count));
    Tensor part = token_log_probs_of(logits, targets.rows(first, count), vocabulary);
    Tensor into = log_probs.rows(first, count);
    copy(part, into);
  }
  return log_probs;
}

}  // namespace lathe
