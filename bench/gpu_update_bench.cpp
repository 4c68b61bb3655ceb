// The parts of a training step on a GPU that move bytes: AdamW and the gradients' norm over the parameters of a 1.1B
// LLaMA, cross-entropy over whole vocabularies, beside a copy measured in the same run.
// usage: gpu_update_bench [SECONDS]
// Prints one JSON object a line: the row, milliseconds, GB/s, and the share of the copy's GB/s.
#include <chrono>
#include <functional>
#include <iostream>
#include <nlohmann/json.hpp>

#include "lathe/ops/cross_entropy.h"
#include "lathe/optim/adamw_kernel.h"
#include "lathe/optim/gradient_squares.h"
#include "lathe/tensor/sum.h"
#include "lathe/tensor/transfer.h"

namespace lathe {
namespace {

using Clock = std::chrono::steady_clock;

/// Rows of numbers of one measurement after another.
class Bench {
 public:
  Bench(Runtime& runtime, double seconds) : runtime_(runtime), seconds_(seconds) {}

  /// Runs `work` until a share of the seconds is over, thrice, and prints the median time of one call.
  void row(const std::string& name, double bytes, const std::function<void()>& work) {
    work();
    std::vector<double> times;
    double once = timed(1, work);
    int calls = std::clamp(int(seconds_ / 3 / once), 1, 1000);
    for (int i = 0; i < 3; ++i) times.push_back(timed(calls, work));
    std::sort(times.begin(), times.end());
    double rate = bytes / times[1] / 1e9;
    if (copy_ == 0) copy_ = rate;
    std::cout << nlohmann::json{{"row", name},
                                {"ms", times[1] * 1e3},
                                {"gb_per_s", rate},
                                {"share_of_copy", rate / copy_},
                                {"spread", times[2] / times[0] - 1}}
                     .dump()
              << std::endl;
  }

 private:
  Runtime& runtime_;
  double seconds_, copy_ = 0;

  double timed(int calls, const std::function<void()>& work) {
    runtime_.accelerator->synchronize();
    Clock::time_point start = Clock::now();
    for (int i = 0; i < calls; ++i) work();
    runtime_.accelerator->synchronize();
    return std::chrono::duration<double>(Clock::now() - start).count() / calls;
  }
};

Tensor filled(Shape shape, DType dtype, float value) {
  Tensor tensor = Tensor::empty(shape, dtype);
  fill(tensor, value);
  return tensor;
}

AdamWPart part_of(Shape shape, bool matrix) {
  Tensor value = matrix ? filled(shape, DType::bf16, 0) : Tensor();
  return {filled(shape, DType::f32, 1e-3f), filled(shape, DType::f32, 0.1f), zeros(shape), zeros(shape), value,
          {.decay = matrix ? 0.1f : 0.0f}};
}

/// 22 layers, 2048 wide, 32/4 heads of 64, 5632 inside, 32,000 tokens: jobs' 1.1B.
std::vector<AdamWPart> parameters_of_1b() {
  std::vector<AdamWPart> parts;
  for (int layer = 0; layer < 22; ++layer) {
    for (Shape shape : {Shape{2560, 2048}, Shape{2048, 2048}, Shape{11264, 2048}, Shape{2048, 5632}})
      parts.push_back(part_of(shape, true));
    for (int norm = 0; norm < 2; ++norm) parts.push_back(part_of({2048}, false));
  }
  parts.push_back(part_of({2048}, false));
  for (int table = 0; table < 2; ++table) parts.push_back(part_of({32000, 2048}, true));
  return parts;
}

void bench_copy(Bench& bench) {
  Tensor from = filled({int64_t{1} << 30}, DType::f32, 1), to = Tensor::empty_like(from);
  bench.row("copy 4 GiB", double(2 * from.bytes()), [&] { copy(from, to); });
}

void bench_update(Bench& bench) {
  std::vector<AdamWPart> parts = parameters_of_1b();
  std::vector<Tensor> gradients;
  double elements = 0, values = 0;
  for (const AdamWPart& part : parts) {
    gradients.push_back(part.gradient);
    elements += double(part.kept.elements());
    if (part.value) values += double(part.value.bytes());
  }
  UpdateState state({});
  Tensor loss = filled({1}, DType::f32, 1), rate = filled({1}, DType::f32, 1e-4f), squares = zeros({1});
  state.decide(loss, rate, rate);
  auto update = [&] { adamw_kernel({}, parts, state.values(), parts[0].kept); };
  auto norm = [&] { gradient_squares(gradients, squares); };
  bench.row("adamw 1.1B", 28 * elements + values, update);
  bench.row("gradient norm 1.1B", 4 * elements, norm);
  bench.row("whole update 1.1B", 32 * elements + values, [&] {
    norm();
    state.decide(loss, squares, rate);
    update();
  });
}

void bench_cross_entropy(Bench& bench, int64_t rows, int64_t columns, DType dtype) {
  Tensor logits = filled({rows, columns}, dtype, 1), losses = Tensor::empty({rows});
  Tensor weight = filled({1}, DType::f32, 1), targets = Tensor::empty({rows}, DType::i32);
  upload(std::span<const int32_t>(std::vector<int32_t>(size_t(rows), 7)), targets);
  std::string shape = text(" [", rows, ", ", columns, "] ", name_of(dtype));
  bench.row("cross_entropy with gradient" + shape, double(2 * logits.bytes()),
            [&] { cross_entropy(targets, weight, {}, true, logits, losses); });
  bench.row("cross_entropy" + shape, double(logits.bytes()),
            [&] { cross_entropy(targets, weight, {}, false, logits, losses); });
}

int run(double seconds) {
  require(!accelerators().gpus.empty(), accelerators().why_none);
  Runtime runtime({Backend::cuda}, int64_t{24} << 30);
  Bench bench(runtime, seconds);
  bench_copy(bench);
  bench_update(bench);
  for (auto [rows, columns] : {std::pair<int64_t, int64_t>{8192, 50304}, {4096, 128256}, {16384, 32000}, {8192, 50257}})
    bench_cross_entropy(bench, rows, columns, DType::bf16);
  bench_cross_entropy(bench, 4096, 50304, DType::f32);
  return 0;
}

}  // namespace
}  // namespace lathe

int main(int count, char** arguments) {
  try {
    return lathe::run(count > 1 ? std::stod(arguments[1]) : 0.5);
  } catch (const lathe::Error& error) {
    std::cerr << error.what() << '\n';
    return 1;
  }
}
