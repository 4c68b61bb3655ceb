// Links the installed library: finds a matrix from examples of what it does, by gradient descent on the tape.
#include <cstdio>

#include "lathe/base/error.h"
#include "lathe/ops/matmul.h"
#include "lathe/tensor/random.h"
#include "lathe/tensor/tape.h"

namespace {

using lathe::Tensor;

constexpr int64_t kExamples = 64, kIn = 8, kOut = 4;

/// Collects the gradient of one leaf.
struct Gradient : lathe::GradientSink {
  void receive(const Tensor& gradient) override { value = gradient; }
  Tensor value;
};

Tensor noise(lathe::Shape shape, uint64_t seed) {
  Tensor tensor = Tensor::empty(shape);
  lathe::Random random(seed);
  for (int64_t i = 0; i < tensor.elements(); ++i) tensor.data<float>()[i] = random.normal(uint64_t(i));
  return tensor;
}

/// The mean squared error of `y`, and in `dy` its gradient.
float mean_squared_error(const Tensor& y, const Tensor& wanted, Tensor& dy) {
  float sum = 0;
  for (int64_t i = 0; i < y.elements(); ++i) {
    float difference = y.data<float>()[i] - wanted.data<float>()[i];
    sum += difference * difference;
    dy.data<float>()[i] = 2 * difference / float(y.elements());
  }
  return sum / float(y.elements());
}

float step(const Tensor& x, const Tensor& wanted, const Tensor& weight, Gradient& dweight) {
  lathe::Tape tape;
  Tensor y;
  {
    lathe::Recording recording(&tape);
    y = lathe::matmul(x, weight);
  }
  Tensor dy = Tensor::empty_like(y);
  float loss = mean_squared_error(y, wanted, dy);
  tape.backward(y, dy);
  for (int64_t i = 0; i < weight.elements(); ++i) weight.data<float>()[i] -= dweight.value.data<float>()[i];
  return loss;
}

void learn() {
  lathe::Runtime runtime({}, int64_t{16} << 20);  // the CPU, 16 MiB
  Tensor x = noise({kExamples, kIn}, 1), wanted = lathe::matmul(x, noise({kOut, kIn}, 2)),
         weight = noise({kOut, kIn}, 3);
  Gradient dweight;
  weight.make_leaf(&dweight);
  float loss = 0;
  for (int i = 0; i < 200; ++i) loss = step(x, wanted, weight, dweight);
  std::printf("loss %.2g after 200 steps, at most %lld bytes\n", double(loss), (long long)runtime.arena.use().peak);
  lathe::require(loss < 1e-6F, "the matrix was not found: loss ", loss);
}

}  // namespace

int main() {
  try {
    learn();
  } catch (const lathe::Error& error) {
    std::fprintf(stderr, "learn_matrix: %s\n", error.what());
    return 1;
  }
}
