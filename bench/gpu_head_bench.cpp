// A vocabulary projection and its cross-entropy, forward and backward, in chunks of rows: bf16, hidden 4096, vocabulary
// 128,256 unless told otherwise. Beside it stands an eager PyTorch with all logits.
// usage: gpu_head_bench [HIDDEN VOCABULARY [TOKENS ...]]
// Prints one JSON object a line: tokens, rows of a chunk, milliseconds, TFLOP/s of the three products, and the bytes of
// the arena beyond hidden rows, weight and gradient. The first line of each number of tokens is what training takes.
#include <chrono>
#include <iostream>
#include <nlohmann/json.hpp>

#include "lathe/nn/loss.h"
#include "lathe/nn/stored.h"
#include "lathe/ops/matmul.h"
#include "lathe/tensor/sum.h"
#include "lathe/tensor/tape.h"
#include "lathe/tensor/transfer.h"
#include "lathe/train/training_pass.h"

namespace lathe {
namespace {

using Clock = std::chrono::steady_clock;

/// Takes the gradient of the hidden rows and lets it go.
class Taker : public GradientSink {
 public:
  void receive(const Tensor&) override {}
};

class Head {
 public:
  Head(int64_t tokens, int64_t width, int64_t vocabulary)
      : weight_({vocabulary, width}, {whole_matrix("head", vocabulary, width)}, Init::normal(0.02f)),
        hidden_(Tensor::empty({tokens, width}, DType::bf16)),
        targets_(Tensor::empty({tokens}, DType::i32)),
        one_(Tensor::empty({1})) {
    weight_.materialize_trained(DType::bf16);
    initialize(weight_, Random(1));
    weight_.refresh();
    Parameter rows({tokens, width}, {whole_matrix("hidden", tokens, width)}, Init::normal(1));
    rows.materialize(DType::f32);
    initialize(rows, Random(2));
    copy(rows.kept, hidden_);
    hidden_.make_leaf(&taker_);
    std::vector<int32_t> ids;
    for (int64_t i = 0; i < tokens; ++i) ids.push_back(int32_t(i * 7919 % vocabulary));
    upload(std::span<const int32_t>(ids), targets_);
    fill(one_, 1 / float(tokens));
  }

  void step(int64_t rows_per_chunk) {
    weight_.begin_step();
    Tape tape;
    Tensor loss;
    {
      Recording recording(&tape);
      loss = chunked_cross_entropy(
          hidden_, [&](const Tensor& rows) { return matmul(rows, weight_.value); }, targets_, one_, rows_per_chunk);
    }
    tape.backward(loss, one_);
    loss_ = loss;
  }
  float loss() const { return read_value<float>(loss_).value(); }
  void forget_loss() { loss_ = Tensor(); }

 private:
  Parameter weight_;
  Tensor hidden_, targets_, one_, loss_;
  Taker taker_;
};

void measure(Runtime& runtime, Head& head, int64_t tokens, int64_t rows, double flops) {
  head.step(rows);
  head.forget_loss();
  runtime.arena.forget_peak();
  int64_t before = runtime.arena.use().live;
  runtime.accelerator->synchronize();
  std::vector<double> times;
  for (int i = 0; i < 5; ++i) {
    Clock::time_point start = Clock::now();
    head.step(rows);
    runtime.accelerator->synchronize();
    times.push_back(std::chrono::duration<double>(Clock::now() - start).count());
  }
  std::sort(times.begin(), times.end());
  std::cout << nlohmann::json{{"row", "linear + cross-entropy"},
                              {"tokens", tokens},
                              {"chunk_rows", rows},
                              {"ms", times[2] * 1e3},
                              {"tflops", flops / times[2] / 1e12},
                              {"extra_mib", double(runtime.arena.use().peak - before) / 1048576},
                              {"loss", head.loss()}}
                   .dump()
            << std::endl;
}

int run(const std::vector<int64_t>& arguments) {
  require(!accelerators().gpus.empty(), accelerators().why_none);
  int64_t width = arguments.size() > 1 ? arguments[0] : 4096, vocabulary = arguments.size() > 1 ? arguments[1] : 128256;
  std::vector<int64_t> sizes = {8192, 16384, 32768};
  if (arguments.size() > 2) sizes.assign(arguments.begin() + 2, arguments.end());
  for (int64_t tokens : sizes) {
    Runtime runtime({Backend::cuda}, int64_t{32} << 30);
    Head head(tokens, width, vocabulary);
    int64_t chosen = rows_of_loss_chunk(runtime.device, vocabulary, tokens);
    for (int64_t rows : {chosen, int64_t{1024}, int64_t{2048}, int64_t{4096}, int64_t{8192}})
      if (rows <= tokens) measure(runtime, head, tokens, rows, 6 * double(tokens) * double(width) * double(vocabulary));
  }
  return 0;
}

}  // namespace
}  // namespace lathe

int main(int count, char** arguments) {
  try {
    std::vector<int64_t> numbers;
    for (int i = 1; i < count; ++i) numbers.push_back(std::stoll(arguments[i]));
    return lathe::run(numbers);
  } catch (const lathe::Error& error) {
    std::cerr << error.what() << '\n';
    return 1;
  }
}
