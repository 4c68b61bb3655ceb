#include "lathe/ops/global_attention.h"

#include <gmock/gmock.h>

#include <cmath>

#include "lathe/base/error.h"
#include "tests/ops/op_support.h"

namespace lathe {
namespace {

using testing::HasSubstr;
using testing::ThrowsMessage;

/// Sequences of `lengths` tokens, the first `globals` of which are global.
struct Case {
  std::vector<int32_t> lengths, globals;
  int64_t heads, kv_heads, head_dim, window;

  AttentionSpec spec() const {
    AttentionSpec spec;
    spec.heads = heads, spec.kv_heads = kv_heads, spec.head_dim = head_dim;
    spec.scale = 1 / std::sqrt(float(head_dim));
    spec.causal = false;
    spec.window = window;
    return spec;
  }

  /// qkv, wide, the offsets of sequences, then the four of GlobalTokens.
  std::vector<OpInput> inputs() const {
    std::vector<int32_t> offsets = {0}, rows, places, counts = {0}, pieces = {0};
    for (size_t n = 0; n < lengths.size(); ++n) {
      for (int32_t i = 0; i < lengths[n]; ++i) {
        places.push_back(i < globals[n] ? int32_t(rows.size()) : -1);
        if (i < globals[n]) rows.push_back(offsets.back() + i);
      }
      counts.push_back(int32_t(rows.size()));
      pieces.insert(pieces.end(), {offsets.back() + globals[n], offsets.back() + lengths[n]});
      offsets.push_back(offsets.back() + lengths[n]);
    }
    return {{{offsets.back(), heads + 2 * kv_heads, head_dim}},
            {{int64_t(rows.size()), heads * head_dim}},
            ids_input(offsets),
            ids_input(rows),
            ids_input(places),
            ids_input(counts),
            ids_input(pieces)};
  }
};

Tensor run(std::span<const Tensor> x, const AttentionSpec& spec) {
  GlobalTokens globals{x[3], x[4], {x[5], 0, {}}, {x[6], 0, {}}};
  return attention_with_globals(x[0], x[1], {x[2], 0, {}}, globals, spec);
}

const Case kMixed = {{7, 1, 5, 9}, {2, 1, 0, 3}, 4, 2, 6, 2};

TEST(AttentionWithGlobals, KeepsThePromisesOfAnOp) {
  check_op("attention_with_globals", kMixed.inputs(), [](std::span<const Tensor> x) { return run(x, kMixed.spec()); });
  Case large{{170, 20, 90}, {1, 1, 70}, 2, 2, 32, 40};  // of several tiles, with threads
  check_op(
      "attention_with_globals", large.inputs(), [&](std::span<const Tensor> x) { return run(x, large.spec()); },
      kParallel);
}

/// Softmax of head `head` over the keys of sequence [first, last) that token `i` sees.
std::vector<float> seen_by(const Case& c, const Tensor& qkv, int64_t i, int64_t head, int64_t first, int64_t last,
                           int64_t globals) {
  int64_t row = (c.heads + 2 * c.kv_heads) * c.head_dim, kv = head / (c.heads / c.kv_heads);
  const float* x = qkv.data<float>();
  std::vector<double> sums(size_t(c.head_dim), 0);
  double total = 0;
  for (int64_t j = first; j < last; ++j) {
    if (j >= first + globals && std::abs(i - j) >= c.window) continue;
    double score = 0;
    for (int64_t d = 0; d < c.head_dim; ++d)
      score += double(x[i * row + head * c.head_dim + d]) * x[j * row + (c.heads + kv) * c.head_dim + d];
    double weight = std::exp(score / std::sqrt(double(c.head_dim)));
    total += weight;
    for (int64_t d = 0; d < c.head_dim; ++d)
      sums[size_t(d)] += weight * x[j * row + (c.heads + c.kv_heads + kv) * c.head_dim + d];
  }
  std::vector<float> out;
  for (double sum : sums) out.push_back(float(sum / total));
  return out;
}

TEST(AttentionWithGlobals, SeesItsWindowAndEveryGlobalTokenOnce) {
  Runtime runtime({}, 1 << 22);
  std::vector<Tensor> x = make_inputs(kMixed.inputs(), DType::f32);
  std::vector<float> found = values_of(run(x, kMixed.spec())), wide = values_of(x[1]);
  int64_t first = 0, place = 0, width = kMixed.heads * kMixed.head_dim;
  for (size_t n = 0; n < kMixed.lengths.size(); ++n) {
    int64_t last = first + kMixed.lengths[n], globals = kMixed.globals[n];
    for (int64_t i = first; i < last; ++i)
      for (int64_t head = 0; head < kMixed.heads; ++head) {
        const float* own = wide.data() + place * width + head * kMixed.head_dim;
        std::vector<float> expected = i < first + globals ? std::vector<float>(own, own + kMixed.head_dim)
                                                          : seen_by(kMixed, x[0], i, head, first, last, globals);
        for (int64_t d = 0; d < kMixed.head_dim; ++d)
          EXPECT_NEAR(found[size_t(i * width + head * kMixed.head_dim + d)], expected[size_t(d)], 1e-6f);
        if (i < first + globals && head == kMixed.heads - 1) ++place;
      }
    first = last;
  }
}

TEST(AttentionWithGlobals, RejectsWhatDoesNotFit) {
  Runtime runtime({}, 1 << 22);
  std::vector<Tensor> x = make_inputs(kMixed.inputs(), DType::f32);
  AttentionSpec causal = kMixed.spec();
  causal.causal = true;
  EXPECT_THAT([&] { run(x, causal); }, ThrowsMessage<Error>(HasSubstr("read whole")));
  std::vector<Tensor> fewer = x;
  fewer[1] = tensor_of({1, 24}, std::vector<float>(24));
  EXPECT_THAT([&] { run(fewer, kMixed.spec()); }, ThrowsMessage<Error>(HasSubstr("6 global tokens")));
  std::vector<Tensor> pieces = x;
  pieces[6] = x[5];
  EXPECT_THAT([&] { run(pieces, kMixed.spec()); }, ThrowsMessage<Error>(HasSubstr("offsets of pieces")));
}

}  // namespace
}  // namespace lathe
