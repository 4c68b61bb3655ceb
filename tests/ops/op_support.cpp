#include "tests/ops/op_support.h"

#include <gtest/gtest.h>
#include <omp.h>

#include <atomic>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <memory>
#include <new>
#include <optional>
#include <random>

#include "lathe/tensor/rehearse.h"
#include "lathe/tensor/sum.h"
#include "lathe/tensor/tape.h"
#include "lathe/tensor/transfer.h"

namespace {
std::atomic<int64_t> heap_allocations{0};
}

// The whole test program counts, so that a kernel which uses the heap on any thread is found. Inlined on one side
// alone, GCC takes new and free for a mismatch.
[[gnu::noinline]] void* operator new(size_t bytes) {
  ++heap_allocations;
  if (void* memory = std::malloc(bytes ? bytes : 1)) return memory;
  throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, size_t) noexcept { std::free(memory); }

namespace lathe {
namespace {

constexpr int64_t kGpuMemory = int64_t{1} << 28;

enum class Slots { none, overwrite, add };

/// How one run differs from the reference run.
struct Setting {
  DType dtype = DType::f32;
  Isa isa = Isa::plain;
  int threads = 2;
  Device device = {};
  size_t seed = 0;  ///< of random inputs
  Slots slots = Slots::none;
  bool recompute = false;
};

struct Outcome {
  std::vector<float> output;
  std::vector<std::vector<float>> gradients;
  std::vector<Lifetime> lifetimes;
  WorkTotals work;
  MemoryUse use;
  int64_t heap = 0;
};

constexpr float kAlreadyThere = 0.125f;
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

/// Collects a leaf's gradient as a parameter would, through a slot or without one.
class TestSink : public GradientSink {
 public:
  TestSink(const Tensor& leaf, Slots slots) : slots_(slots) {
    if (slots == Slots::none) return;
    written_ = Tensor::empty(leaf.shape());
    fill(written_, slots == Slots::add ? kAlreadyThere : kNaN);
  }
  std::optional<GradientSlot> slot() override {
    if (slots_ == Slots::none) return std::nullopt;
    return GradientSlot{written_, slots_ == Slots::add || claims_++ > 0};
  }
  void receive(const Tensor& gradient) override {
    Tensor into = received_ ? received_ : zeros(gradient.shape());
    accumulate(gradient, into);
    received_ = into;
  }
  std::vector<float> values() const {
    if (received_) return values_of(received_);
    if (!written_) return {};
    std::vector<float> values = values_of(written_);
    if (slots_ == Slots::add)
      for (float& value : values) value -= kAlreadyThere;
    return values;
  }

 private:
  Slots slots_;
  Tensor written_, received_;
  int claims_ = 0;
};

void set_values(Tensor& tensor, const std::vector<float>& values) {
  visit_floating(tensor.dtype(), [&]<class T>(Element<T>) {
    std::vector<T> converted(values.begin(), values.end());
    upload(std::span<const T>(converted), tensor);
  });
}

std::vector<float> random_values(size_t seed, int64_t count, float low, float high) {
  std::minstd_rand next(uint32_t(seed) + 1);  // cheap: inputs are made hundreds of times
  next.discard(10);
  std::vector<float> values;
  values.reserve(size_t(count));
  for (int64_t i = 0; i < count; ++i) values.push_back(low + (high - low) * float(next() % 65536) / 65536);
  return values;
}

float rounded_to_bf16(float value) { return float(BF16(value)); }

/// Values that bf16 holds exactly, so that runs of every dtype see the same inputs.
std::vector<float> values_for(const OpInput& input, size_t seed) {
  if (!input.values.empty()) return input.values;
  std::vector<float> values = random_values(seed, input.shape.elements(), input.low, input.high);
  for (float& value : values) value = rounded_to_bf16(value);
  return values;
}

Tensor make_input(const OpInput& input, size_t seed, DType dtype) {
  if (!input.ids.empty()) {
    Tensor ids = Tensor::empty({int64_t(input.ids.size())}, DType::i32);
    upload(std::span<const int32_t>(input.ids), ids);
    return ids;
  }
  Tensor tensor = Tensor::empty(input.shape, input.always_f32 ? DType::f32 : dtype);
  set_values(tensor, values_for(input, seed));
  return tensor;
}

std::vector<Tensor> make_inputs(const std::vector<OpInput>& inputs, DType dtype, size_t seed) {
  std::vector<Tensor> tensors;
  for (size_t i = 0; i < inputs.size(); ++i) tensors.push_back(make_input(inputs[i], seed + i, dtype));
  return tensors;
}

Tensor seed_like(const Tensor& output) {
  Tensor seed = Tensor::empty_like(output);
  std::vector<float> values = random_values(99, output.elements(), -1, 1);
  for (float& value : values) value = rounded_to_bf16(value);
  set_values(seed, values);
  return seed;
}

/// Doubles x and keeps it for backward, so that a RecomputeScope has something to drop and restore.
Tensor keeper(const Tensor& x) {
  Tensor out = sum(x, x);
  record({&out}, {&x}, {[kept = x.detached()](std::span<const Tensor> dy) -> Gradients {
           if (!kept.storage().present()) throw InternalError("recomputation left an output without bytes");
           return {sum(dy[0], dy[0])};
         }});
  return out;
}

class Run {
 public:
  Run(const std::vector<OpInput>& inputs, const Op& op, const Setting& setting)
      : inputs_(inputs), op_(op), setting_(setting) {}

  Outcome operator()() {
    Isa before = lathe::isa();
    int threads = omp_get_max_threads();
    set_isa(setting_.isa);
    omp_set_num_threads(setting_.threads);
    Outcome outcome = on_runtime();
    omp_set_num_threads(threads);
    set_isa(before);
    return outcome;
  }

 private:
  const std::vector<OpInput>& inputs_;
  const Op& op_;
  Setting setting_;

  /// What nobody writes is NaN: the free list hands these bytes out again.
  static void poison(Runtime& runtime) {
    Tensor all = Tensor::empty({kGpuMemory / size_of(DType::f32)});
    fill(all, kNaN);
    all = Tensor();
    runtime.arena.forget_peak();
  }

  bool differentiable(size_t i) const { return inputs_[i].ids.empty() && inputs_[i].differentiable; }

  Outcome on_runtime() {
    bool cuda = setting_.device.backend == Backend::cuda;
    Runtime runtime(setting_.device, cuda ? kGpuMemory : int64_t{1} << 31);
    if (cuda) poison(runtime);
    std::vector<Tensor> leaves = make_inputs(inputs_, setting_.dtype, setting_.seed);
    std::vector<std::unique_ptr<TestSink>> sinks;
    for (size_t i = 0; i < leaves.size(); ++i) {
      sinks.push_back(std::make_unique<TestSink>(leaves[i], differentiable(i) ? setting_.slots : Slots::none));
      if (differentiable(i)) leaves[i].make_leaf(sinks[i].get());
    }
    Outcome outcome;
    runtime.arena.note_lifetimes();
    int64_t heap = heap_allocations;
    Tensor output = forward_and_backward(leaves);
    outcome.heap = heap_allocations - heap;
    outcome.lifetimes = runtime.arena.take_lifetimes();
    outcome.work = runtime.totals;
    outcome.use = runtime.arena.use();
    if (setting_.device.meta) return outcome;
    outcome.output = values_of(output);
    for (const auto& sink : sinks) outcome.gradients.push_back(sink->values());
    return outcome;
  }

  Tensor forward_and_backward(const std::vector<Tensor>& leaves) {
    Tape tape;
    Tensor output;
    {
      Recording on(&tape);
      output = setting_.recompute ? in_scope(leaves) : keeper(op_(leaves));
    }
    tape.backward(output, seed_like(output));
    return output.detached();
  }

  Tensor in_scope(const std::vector<Tensor>& leaves) {
    RecomputeScope scope;
    Tensor output = keeper(op_(leaves));
    scope.finish(output);
    return output;
  }
};

double largest(const std::vector<float>& values) {
  double most = 0;
  for (float value : values) most = std::max(most, std::abs(double(value)));
  return most;
}

void expect_within(const std::vector<float>& actual, const std::vector<float>& expected, double allowed,
                   const std::string& what) {
  ASSERT_EQ(actual.size(), expected.size()) << what;
  double worst = 0;
  size_t where = 0;
  for (size_t i = 0; i < actual.size(); ++i) {
    double difference = std::abs(double(actual[i]) - double(expected[i]));
    if (!(difference <= worst)) worst = difference, where = i;
  }
  if (actual.empty()) return;
  EXPECT_LE(worst, allowed) << what << " at " << where << ": " << actual[where] << " for " << expected[where];
}

void expect_near(const std::vector<float>& actual, const std::vector<float>& expected, double tolerance,
                 const std::string& what) {
  expect_within(actual, expected, tolerance * std::max(largest(expected), 1e-3), what);
}

void expect_near(const Outcome& actual, const Outcome& expected, double tolerance, const std::string& what) {
  expect_near(actual.output, expected.output, tolerance, what + ": output");
  for (size_t i = 0; i < expected.gradients.size(); ++i)
    expect_near(actual.gradients[i], expected.gradients[i], tolerance, text(what, ": gradient of input ", i));
}

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0);
}

void expect_equal_bits(const Outcome& actual, const Outcome& expected, const std::string& what) {
  EXPECT_TRUE(same_bits(actual.output, expected.output)) << what << ": output bits differ";
  for (size_t i = 0; i < expected.gradients.size(); ++i)
    EXPECT_TRUE(same_bits(actual.gradients[i], expected.gradients[i]))
        << what << ": bits of the gradient of input " << i << " differ";
}

void expect_equal_memory(const Outcome& actual, const Outcome& expected, const std::string& what) {
  EXPECT_EQ(actual.work, expected.work) << what << ": kernels, FLOPs or bytes differ";
  EXPECT_EQ(actual.use.peak, expected.use.peak) << what;
  EXPECT_EQ(actual.use.reserved, expected.use.reserved) << what;
  EXPECT_EQ(actual.use.at_peak, expected.use.at_peak) << what;
  ASSERT_EQ(actual.lifetimes.size(), expected.lifetimes.size()) << what << ": number of allocations";
  for (size_t i = 0; i < expected.lifetimes.size(); ++i) {
    const Lifetime &a = actual.lifetimes[i], &b = expected.lifetimes[i];
    EXPECT_TRUE(a.bytes == b.bytes && a.born == b.born && a.freed == b.freed && a.purpose == b.purpose)
        << what << ": allocation " << i << " of " << b.bytes << " bytes differs";
  }
}

/// Sum of seed * output, with input `which` shifted at `element`.
double shifted_loss(std::vector<OpInput> inputs, const Op& op, size_t which, size_t element, float shift) {
  inputs[which].values = values_for(inputs[which], which);
  inputs[which].values[element] += shift;
  Runtime runtime(Device{}, int64_t{1} << 31);
  Tensor output = keeper(op(make_inputs(inputs, DType::f32)));
  std::vector<float> values = values_of(output), seed = values_of(seed_like(output));
  double loss = 0;
  for (size_t i = 0; i < values.size(); ++i) loss += double(values[i]) * double(seed[i]);
  return loss;
}

/// Fourth-order central difference: wide enough steps for f32, truncation far below the tolerance.
double difference(const std::vector<OpInput>& inputs, const Op& op, size_t which, size_t element) {
  constexpr float kStep = 1.0f / 64;
  auto slope = [&](float step) {
    return (shifted_loss(inputs, op, which, element, step) - shifted_loss(inputs, op, which, element, -step)) /
           (2 * double(step));
  };
  return (4 * slope(kStep) - slope(2 * kStep)) / 3;
}

void check_differences(const std::string& name, const std::vector<OpInput>& inputs, const Op& op,
                       const OpOptions& options, const Outcome& reference) {
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (!inputs[i].ids.empty() || !inputs[i].differentiable) continue;
    ASSERT_EQ(int64_t(reference.gradients[i].size()), inputs[i].shape.elements()) << name << ": no gradient " << i;
    std::vector<float> expected, actual;
    for (int sample = 0; sample < options.samples; ++sample) {
      size_t element = size_t(sample) * 7919 % reference.gradients[i].size();
      expected.push_back(float(difference(inputs, op, i, element)));
      actual.push_back(reference.gradients[i][element]);
    }
    expect_within(actual, expected, options.tolerances.gradient * largest(reference.gradients[i]),
                  text(name, ": differences of input ", i));
  }
}

/// What holds on every device; `once` is the outcome of `setting`.
void check_memory_and_bits(const std::string& name, const std::vector<OpInput>& inputs, const Op& op,
                           const Setting& setting, const Outcome& once) {
  auto run = [&](auto change) {
    Setting changed = setting;
    change(changed);
    return Run(inputs, op, changed)();
  };
  Outcome meta = run([](Setting& s) { s.device = s.device.as_meta(); });
  expect_equal_memory(once, meta, text(name, ": ", setting.device.name(), " against meta"));
  expect_equal_bits(run([](Setting&) {}), once, name + ": second run");
  expect_equal_bits(run([](Setting& s) { s.recompute = true; }), once, name + ": recomputed");
  expect_near(run([](Setting& s) { s.slots = Slots::overwrite; }), once, 1e-6, name + ": in place");
  expect_near(run([](Setting& s) { s.slots = Slots::add; }), once, 1e-4, name + ": added in place");
}

/// What holds on a cpu alone.
void check_heap_and_threads(const std::string& name, const std::vector<OpInput>& inputs, const Op& op, Setting setting,
                            const Outcome& once) {
  Setting meta = setting;
  meta.device.meta = true;
  EXPECT_EQ(once.heap, Run(inputs, op, meta)().heap) << name << ": kernels allocate from the heap";
  for (int threads : {1, 7}) {
    setting.threads = meta.threads = threads;
    Outcome other = Run(inputs, op, setting)();
    expect_equal_bits(other, once, text(name, ": ", threads, " threads"));
    expect_equal_memory(other, Run(inputs, op, meta)(), text(name, ": ", threads, " threads"));
  }
}

void check_cpu(const std::string& name, const std::vector<OpInput>& inputs, const Op& op, const OpOptions& options) {
  Outcome f32 = Run(inputs, op, {})();
  check_differences(name, inputs, op, options, f32);
  for (DType dtype : options.dtypes) {
    std::string typed = text(name, ' ', name_of(dtype));
    Outcome plain = Run(inputs, op, {.dtype = dtype})();
    if (dtype != DType::f32) expect_near(plain, f32, options.tolerances.bf16, typed + " against f32");
    for (Isa isa : {Isa::plain, Isa::avx2, Isa::avx512}) {
      if (!isa_available(isa)) continue;
      std::string variant = text(typed, ' ', isa_name(isa));
      double tolerance = dtype == DType::f32 ? options.tolerances.isa_f32 : options.tolerances.isa_bf16;
      Setting setting{.dtype = dtype, .isa = isa};
      Outcome once = Run(inputs, op, setting)();
      expect_near(once, plain, tolerance, variant + " against plain");
      check_memory_and_bits(variant, inputs, op, setting, once);
      check_heap_and_threads(variant, inputs, op, setting, once);
    }
  }
}

void check_cuda(const std::string& name, const std::vector<OpInput>& inputs, const Op& op, const OpOptions& options) {
  for (DType dtype : {DType::f32, DType::bf16}) {
    std::string typed = text(name, ' ', name_of(dtype), " cuda");
    Setting cpu{.dtype = dtype, .seed = std::hash<std::string>()(name)}, cuda = cpu;
    cuda.device.backend = Backend::cuda;
    Outcome expected = Run(inputs, op, cpu)(), once = Run(inputs, op, cuda)();
    expect_near(once, expected, dtype == DType::f32 ? options.tolerances.gpu_f32 : options.tolerances.gpu_bf16,
                typed + " against plain");
    check_memory_and_bits(typed, inputs, op, cuda, once);
  }
}

}  // namespace

OpInput ids_input(std::vector<int32_t> ids) {
  OpInput input;
  input.ids = std::move(ids);
  return input;
}

OpInput f32_input(Shape shape) {
  OpInput input;
  input.shape = shape;
  input.always_f32 = true;
  return input;
}

std::vector<Tensor> make_inputs(const std::vector<OpInput>& inputs, DType dtype) {
  return make_inputs(inputs, dtype, 0);
}

std::vector<float> values_of(const Tensor& tensor) {
  auto values = [&]<class T>(Element<T>) {
    std::vector<T> stored(size_t(tensor.elements()));
    download(tensor, std::as_writable_bytes(std::span(stored)));
    return std::vector<float>(stored.begin(), stored.end());
  };
  return tensor.dtype() == DType::i32 ? values(Element<int32_t>()) : visit_floating(tensor.dtype(), values);
}

Tensor tensor_of(Shape shape, const std::vector<float>& values) {
  Tensor tensor = Tensor::empty(shape);
  set_values(tensor, values);
  return tensor;
}

void GpuTest::SetUp() {
  if (accelerators().gpus.empty()) GTEST_SKIP() << accelerators().why_none;
}

void check_op(const std::string& name, const std::vector<OpInput>& inputs, const Op& op, const OpOptions& options) {
  if (!options.dtypes.empty()) check_cpu(name, inputs, op, options);
  if (!accelerators().gpus.empty()) check_cuda(name, inputs, op, options);
}

}  // namespace lathe
