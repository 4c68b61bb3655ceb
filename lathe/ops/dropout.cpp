#include "lathe/ops/dropout.h"

#include "lathe/ops/gradient_target.h"
#include "lathe/ops/parallel.h"
#include "lathe/tensor/philox.h"
#include "lathe/tensor/tape.h"

namespace lathe {
namespace {

DropoutRule rule_of(float p, const Random& random) {
  uint32_t threshold = uint32_t((1 - p) * 65536.0f + 0.5f);
  return {random.key(), threshold, threshold ? 65536.0f / float(threshold) : 0.0f};
}

void run(const Tensor& x, const Tensor& token_keys, DropoutRule rule, Tensor& out) {
  dropout_kernel({x.elements(), x.bytes() + token_keys.bytes() + out.bytes()}, x, token_keys, rule, out);
}

}  // namespace

Tensor dropout(const Tensor& x, float p, const Random& random, const Tensor& token_keys) {
  require(p >= 0 && p < 1, "dropout: p = ", p, " is not in [0, 1)");
  require(token_keys.elements() == x.shape().rows() &&
              (token_keys.dtype() == DType::i32 || token_keys.dtype() == DType::i64),
          "dropout: token_keys ", name_of(token_keys.dtype()), ' ', token_keys.shape(), " do not fit x ", x.shape());
  if (p == 0) return x;
  DropoutRule rule = rule_of(p, random);
  Tensor out = Tensor::empty_like(x);
  run(x, token_keys, rule, out);
  record({&out}, {&x},
         {[token_keys, rule](std::span<const Tensor> dy) -> Gradients {
            Tensor dx = gradient_over(dy[0], dy[0]);
            run(dy[0], token_keys, rule, dx);
            return {dx};
          },
          [x = x.detached(), token_keys, rule](std::span<Tensor> outputs) { run(x, token_keys, rule, outputs[0]); }});
  return out;
}

namespace {

uint64_t token_key(const Tensor& keys, int64_t row) {
  return keys.dtype() == DType::i64 ? uint64_t(keys.data<int64_t>()[row]) : uint64_t(keys.data<int32_t>()[row]);
}

template <class T>
void drop_row(const T* x, uint64_t token, const DropoutRule& rule, int64_t columns, T* out) {
  for (int64_t start = 0; start < columns; start += 128)
    for (int64_t lane = 0; lane < 16; ++lane) {
      PhiloxWords block = philox({token, token >> 32, uint64_t(start / 8 + lane), 0}, rule.key);
      uint64_t words[] = {block.x, block.y, block.z, block.w};
      for (int64_t v = 0; v < 8; ++v) {
        int64_t c = start + 16 * v + lane;
        if (c >= columns) break;
        uint32_t bits = (words[v / 2] >> (v % 2 * 16)) & 0xffffu;
        out[c] = bits < rule.threshold ? T(float(x[c]) * rule.scale) : T(0.0f);
      }
    }
}

void dropout_plain(const Tensor& x, const Tensor& token_keys, DropoutRule rule, Tensor& out) {
  visit_floating(x.dtype(), [&]<class T>(Element<T>) {
    int64_t rows = x.shape().rows(), columns = x.shape().columns();
#pragma omp parallel for schedule(static) if (x.elements() > kParallelElements)
    for (int64_t r = 0; r < rows; ++r)
      drop_row(x.data<T>() + r * columns, token_key(token_keys, r), rule, columns, out.data<T>() + r * columns);
  });
}

const bool provided = dropout_kernel.provide(Isa::plain, dropout_plain);

}  // namespace
}  // namespace lathe
