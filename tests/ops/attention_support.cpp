#include "attention_support.h"

#include <omp.h>

#include <cmath>
#include <numeric>

#include "lathe/tensor/random.h"
#include "lathe/tensor/sum.h"
#include "lathe/tensor/tape.h"
#include "lathe/tensor/transfer.h"

namespace lathe {
namespace {

struct Sink : GradientSink {
  void receive(const Tensor& gradient) override { received = gradient.detached(); }
  Tensor received;
};

/// The tensors of a case on the current Runtime.
struct Attending {
  Attending(const AttentionCase& the_case, DType dtype) : spec(the_case.spec) {
    auto offsets = [](const std::vector<int32_t>& lengths) {
      std::vector<int32_t> sums(lengths.size() + 1, 0);
      std::partial_sum(lengths.begin(), lengths.end(), sums.begin() + 1);
      return sums;
    };
    std::vector<int32_t> starts = offsets(the_case.lengths);
    bool crossed = !the_case.memory.empty();
    queries = {numbers_of(starts), *std::max_element(the_case.lengths.begin(), the_case.lengths.end()), {}};
    int64_t kv = 2 * spec.kv_heads;
    q = normal_numbers({starts.back(), spec.heads + (crossed ? 0 : kv), spec.head_dim}, 1, dtype);
    if (crossed) {
      std::vector<int32_t> places = offsets(the_case.memory);
      memory = {numbers_of(places), *std::max_element(the_case.memory.begin(), the_case.memory.end()), {}};
      memory_kv = normal_numbers({places.back(), kv, spec.head_dim}, 2, dtype);
      memory_kv.make_leaf(&memory_sink);
    }
    q.make_leaf(&sink);
    if (the_case.distances) {
      spec.bias = normal_numbers({spec.heads, the_case.distances}, 3);
      spec.bias_zero = the_case.distances / 2;
      spec.bias.make_leaf(&bias_sink);
    }
    weights = normal_numbers({starts.back(), spec.heads * spec.head_dim}, 4, dtype);
  }

  Tensor forward() const {
    return memory_kv ? attention(q, memory_kv, queries, memory, spec) : attention(q, queries, spec);
  }

  double loss() const {
    Tensor out = forward();
    double total = 0;
    for (int64_t i = 0; i < out.elements(); ++i) total += double(out.data<float>()[i]) * weights.data<float>()[i];
    return total;
  }

  Tensor run() {
    Tape tape;
    Tensor out;
    {
      Recording on(&tape);
      out = forward();
    }
    tape.backward(out, weights);
    return out;
  }

  AttentionSpec spec;
  Packed queries, memory;
  Tensor q, memory_kv, weights;
  Sink sink, memory_sink, bias_sink;
};

AttentionResult run_here(const AttentionCase& the_case, DType dtype) {
  Attending attending(the_case, dtype);
  Tensor out = attending.run();
  AttentionResult result;
  result.parts.push_back(floats_of(out));
  for (const Sink* sink : {&attending.sink, &attending.memory_sink, &attending.bias_sink})
    if (sink->received) result.parts.push_back(floats_of(sink->received));
  return result;
}

}  // namespace

Tensor numbers_of(const std::vector<int32_t>& values) {
  Tensor tensor = Tensor::empty({int64_t(values.size())}, DType::i32);
  upload(std::span<const int32_t>(values), tensor);
  return tensor;
}

std::vector<float> floats_of(const Tensor& x) {
  Tensor all = converted(x, DType::f32);
  std::vector<float> floats(size_t(all.elements()));
  download(all, std::as_writable_bytes(std::span(floats)));
  return floats;
}

Tensor normal_numbers(Shape shape, uint64_t seed, DType dtype, float size) {
  Tensor tensor = Tensor::empty(shape);
  Random random(seed);
  std::vector<float> numbers(size_t(tensor.elements()));
  for (size_t i = 0; i < numbers.size(); ++i) numbers[i] = size * random.normal(uint64_t(i));
  upload(std::span<const float>(numbers), tensor);
  return dtype == DType::f32 ? tensor : converted(tensor, dtype);
}

AttentionCase AttentionCase::of(std::string name, int64_t heads, int64_t kv_heads, int64_t head_dim,
                                std::vector<int32_t> lengths) {
  AttentionCase made;
  made.name = std::move(name);
  made.spec.heads = heads;
  made.spec.kv_heads = kv_heads;
  made.spec.head_dim = head_dim;
  made.spec.scale = 1 / std::sqrt(float(head_dim));
  made.lengths = std::move(lengths);
  return made;
}

AttentionCase AttentionCase::with(const std::function<void(AttentionCase&)>& change, const std::string& suffix) const {
  AttentionCase changed = *this;
  change(changed);
  changed.name += suffix;
  return changed;
}

AttentionResult run_attention(const AttentionCase& the_case, DType dtype, Isa with, int threads) {
  Runtime runtime({}, int64_t{1} << 30);
  Isa before = isa();
  int threads_before = omp_get_max_threads();
  set_isa(with);
  if (threads) omp_set_num_threads(threads);
  AttentionResult result = run_here(the_case, dtype);
  omp_set_num_threads(threads_before);
  set_isa(before);
  return result;
}

AttentionResult run_attention(const AttentionCase& the_case, DType dtype, Device device) {
  Runtime runtime(device, int64_t{1} << 30);
  return run_here(the_case, dtype);
}

AttentionCosts attention_costs(const AttentionCase& the_case, DType dtype, Device device) {
  Runtime runtime(device, int64_t{1} << 30);
  Attending attending(the_case, dtype);
  Tensor out = attending.run();
  return {runtime.totals, runtime.arena.use().peak, runtime.arena.use().reserved};
}

std::vector<AttentionSlope> attention_slopes(const AttentionCase& the_case, uint64_t seed) {
  Runtime runtime({}, int64_t{1} << 30);
  Attending attending(the_case, DType::f32);
  attending.run();
  std::vector<AttentionSlope> slopes;
  std::pair<Tensor, Tensor> inputs[] = {{attending.q, attending.sink.received},
                                        {attending.memory_kv, attending.memory_sink.received},
                                        {attending.spec.bias, attending.bias_sink.received}};
  for (auto& [input, gradient] : inputs) {
    if (!input) continue;
    Tensor direction = normal_numbers(input.shape(), seed);
    AttentionSlope slope{0, 0};
    auto move = [&, x = input.data<float>(), d = direction.data<float>(), n = input.elements()](float by) {
      for (int64_t i = 0; i < n; ++i) x[i] += by * d[i];
    };
    for (int64_t i = 0; i < input.elements(); ++i)
      slope.by_gradient += double(gradient.data<float>()[i]) * direction.data<float>()[i];
    constexpr float kStep = 1.0f / 256;
    move(kStep);
    slope.by_differences = attending.loss();
    move(-2 * kStep);
    slope.by_differences = (slope.by_differences - attending.loss()) / (2 * kStep);
    move(kStep);
    slopes.push_back(slope);
  }
  return slopes;
}

float difference(const AttentionResult& expected, const AttentionResult& actual) {
  if (expected.parts.size() != actual.parts.size()) return INFINITY;
  float worst = 0;
  for (size_t part = 0; part < expected.parts.size(); ++part) {
    float largest = 1e-6f, apart = 0;
    for (size_t i = 0; i < expected.parts[part].size(); ++i) {
      float one = expected.parts[part][i], other = actual.parts[part][i];
      largest = std::max(largest, std::abs(one));
      apart = std::isfinite(other) ? std::max(apart, std::abs(one - other)) : INFINITY;
    }
    worst = std::max(worst, apart / largest);
  }
  return worst;
}

std::vector<Isa> available_isas() {
  std::vector<Isa> found;
  for (Isa one : {Isa::plain, Isa::avx2, Isa::avx512})
    if (isa_available(one)) found.push_back(one);
  return found;
}

std::vector<AttentionCase> attention_cases() {
  AttentionCase base = AttentionCase::of("causal", 2, 2, 32, {70, 1, 13, 129});
  auto full = [](AttentionCase& c) { c.spec.causal = false; };
  auto window = [](AttentionCase& c) { c.spec.window = 40; };
  auto bias = [](AttentionCase& c) { c.distances = 61; };
  std::vector<AttentionCase> cases{base, base.with(full, ", full"), base.with(window, ", window")};
  cases.push_back(cases[1].with(window, ", window"));
  cases.push_back(base.with([](AttentionCase& c) { c.spec.softcap = 1.5f; }, ", softcap"));
  cases.push_back(base.with(bias, ", bias"));
  cases.push_back(cases[1].with(bias, ", bias"));
  cases.push_back(cases[5].with([](AttentionCase& c) { c.spec.softcap = 2; }, ", softcap"));
  cases.push_back(base.with([](AttentionCase& c) { c.spec.heads = 6; }, ", grouped"));
  cases.push_back(base.with(
      [](AttentionCase& c) {
        c.lengths = {5, 64, 0, 100};
        c.memory = {90, 3, 8, 130};
      },
      ", memory"));
  cases.push_back(cases.back().with(full, ", full"));
  cases.push_back(cases[1].with(
      [](AttentionCase& c) {
        c.lengths = {5, 7};
        c.memory = {0, 3};
      },
      ", empty memory"));
  for (int64_t dim : {40, 64, 80, 96, 128, 256})
    cases.push_back(AttentionCase::of("heads of " + std::to_string(dim), 2, 1, dim, {65, 30}));
  return cases;
}

}  // namespace lathe
