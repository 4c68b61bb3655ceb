#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "attention_support.h"
#include "lathe/ops/attention.h"
#include "lathe/ops/attention_step.h"
#include "lathe/ops/cache_write.h"
#include "lathe/ops/rotary_cache.h"

namespace lathe {
namespace {

constexpr Device kGpu{Backend::cuda};

class GpuAttention : public testing::Test {
 protected:
  void SetUp() override {
    if (accelerators().gpus.empty()) GTEST_SKIP() << accelerators().why_none;
  }
};

/// The cases of the CPU's tests, with heads of 64, which have tiles for tensor cores, in place of 32; and larger ones.
std::vector<AttentionCase> gpu_cases() {
  std::vector<AttentionCase> cases = attention_cases();
  for (AttentionCase c : attention_cases())
    if (c.spec.head_dim == 32) {
      c.spec.head_dim = 64;
      c.spec.scale = 0.125f;
      c.name += ", 64";
      cases.push_back(c);
    }
  for (int64_t dim : {64, 128}) {
    AttentionCase large = AttentionCase::of("large " + std::to_string(dim), 6, 2, dim, {1, 517, 0, 0, 640, 63, 129, 1});
    cases.push_back(large);
    cases.push_back(large.with([](AttentionCase& c) { c.spec.causal = false; }, ", full"));
    cases.push_back(large.with([](AttentionCase& c) { c.spec.window = 100; }, ", window"));
    cases.push_back(large.with([](AttentionCase& c) { c.spec.window = 300, c.spec.causal = false; }, ", full, window"));
    cases.push_back(AttentionCase::of("even " + std::to_string(dim), 4, 4, dim, {512, 512}));
    cases.push_back(cases.back().with([](AttentionCase& c) { c.spec.causal = false; }, ", full"));
  }
  return cases;
}

TEST_F(GpuAttention, AgreesWithTheCpu) {
  for (const AttentionCase& the_case : gpu_cases())
    for (DType dtype : {DType::f32, DType::bf16}) {
      float apart = difference(run_attention(the_case, dtype, isa()), run_attention(the_case, dtype, kGpu));
      // f32: sums in another order; bf16: weights are rounded to 8 bits before they meet values, and so are results
      EXPECT_LE(apart, dtype == DType::f32 ? 1e-5f : 2e-2f) << the_case.name << ", " << name_of(dtype);
    }
}

TEST_F(GpuAttention, GivesTheSameBitsEveryTime) {
  for (const AttentionCase& the_case : gpu_cases())
    for (DType dtype : {DType::f32, DType::bf16})
      EXPECT_EQ(run_attention(the_case, dtype, kGpu).parts, run_attention(the_case, dtype, kGpu).parts)
          << the_case.name << ", " << name_of(dtype);
}

/// Of more tiles of keys than a GPU has multiprocessors, so that blocks wait for the sums of others.
TEST_F(GpuAttention, GivesTheSameBitsWhenBlocksWaitForEachOther) {
  for (int64_t dim : {64, 128}) {
    AttentionCase the_case = AttentionCase::of("long", 8, 8, dim, {2048, 1000, 1500});
    EXPECT_EQ(run_attention(the_case, DType::bf16, kGpu).parts, run_attention(the_case, DType::bf16, kGpu).parts)
        << dim;
  }
}

TEST(Attention, CostsOnMetaCudaOneFloatAQueryAndHeadMoreThanItsTensors) {
  AttentionCase the_case = AttentionCase::of("", 4, 2, 64, {128, 128});
  AttentionCosts costs = attention_costs(the_case, DType::bf16, kGpu.as_meta());
  EXPECT_EQ(costs.work.flops, attention_costs(the_case, DType::bf16, Device{}.as_meta()).work.flops);
  EXPECT_EQ(costs.work.bytes_moved, attention_costs(the_case, DType::bf16, Device{}.as_meta()).work.bytes_moved);
}

TEST_F(GpuAttention, CostsOnMetaWhatItCostsOnTheDevice) {
  for (const AttentionCase& the_case : gpu_cases())
    for (DType dtype : {DType::f32, DType::bf16})
      EXPECT_EQ(attention_costs(the_case, dtype, kGpu), attention_costs(the_case, dtype, kGpu.as_meta()))
          << the_case.name;
}

/// Sequences with some tokens in a cache and some new ones; sequence n begins at slot 5 + n * longest.
struct CachedCase {
  std::string name;
  AttentionSpec spec;
  std::vector<int32_t> before, fresh;
  int64_t longest;
  int64_t distances = 0;

  std::vector<float> run(DType dtype, Device device) const {
    Runtime runtime(device, int64_t{1} << 30);
    AttentionSpec with = spec;
    if (distances) with.bias = normal_numbers({spec.heads, distances}, 3), with.bias_zero = distances / 2;
    std::vector<int32_t> offsets{0}, starts, lengths;
    for (size_t n = 0; n < fresh.size(); ++n) {
      offsets.push_back(offsets.back() + fresh[n]);
      lengths.push_back(before[n] + fresh[n]);
      starts.push_back(int32_t(5 + int64_t(n) * longest));
    }
    int64_t slots = 5 + int64_t(fresh.size()) * longest;
    Tensor q = normal_numbers({offsets.back(), spec.heads, spec.head_dim}, 1, dtype);
    Tensor cache = normal_numbers({slots, 2 * spec.kv_heads, spec.head_dim}, 2, dtype);
    return floats_of(attention_cached(q, cache, numbers_of(offsets),
                                      CachedSequences{numbers_of(starts), numbers_of(lengths), longest}, with));
  }
};

std::vector<CachedCase> cached_cases() {
  std::vector<CachedCase> cases;
  auto add = [&](const char* name, int64_t heads, int64_t kv_heads, int64_t dim, int64_t longest, auto change) {
    cases.push_back({name,
                     AttentionCase::of("", heads, kv_heads, dim, {1}).spec,
                     {0, 300, 5, 127, 64, 0, 499},
                     {3, 1, 8, 1, 9, 1, 1},
                     longest});
    change(cases.back());
  };
  auto nothing = [](CachedCase&) {};
  for (int64_t longest : {500, 3000})
    for (int64_t dim : {32, 64, 80, 96, 128, 256}) add("heads of", 8, 2, dim, longest, nothing);
  add("one head a group", 3, 3, 64, 3000, nothing);
  add("24 heads a group", 24, 1, 64, 3000, nothing);
  add("window", 8, 2, 64, 3000, [](CachedCase& c) { c.spec.window = 40; });
  add("softcap", 8, 2, 128, 3000, [](CachedCase& c) { c.spec.softcap = 1.5f; });
  add("bias", 8, 2, 64, 3000, [](CachedCase& c) { c.distances = 61; });
  for (int64_t dim : {64, 128})
    add("prefill", 8, 2, dim, 600, [](CachedCase& c) { c.fresh = {300, 1, 95, 200, 0, 64, 1}; });
  add("prefill, window", 8, 2, 64, 600, [](CachedCase& c) {
    c.fresh = {300, 1, 95, 200, 0, 64, 1};
    c.spec.window = 70;
  });
  add("long", 32, 4, 64, 16384, [](CachedCase& c) { c.before = {16383}, c.fresh = {1}; });
  return cases;
}

TEST_F(GpuAttention, ToACacheAgreesWithTheCpu) {
  for (const CachedCase& the_case : cached_cases())
    for (DType dtype : {DType::f32, DType::bf16}) {
      std::vector<float> expected = the_case.run(dtype, {}), actual = the_case.run(dtype, kGpu);
      float apart = 0;
      for (size_t i = 0; i < expected.size(); ++i) apart = std::max(apart, std::abs(expected[i] - actual[i]));
      EXPECT_LE(apart, dtype == DType::f32 ? 1e-5f : 3e-2f)
          << the_case.name << ' ' << the_case.spec.head_dim << ' ' << the_case.longest << ", " << name_of(dtype);
      EXPECT_EQ(actual, the_case.run(dtype, kGpu)) << the_case.name;
    }
}

TEST_F(GpuAttention, CacheWritePutsKeysAndValuesWhereTheSlotsSay) {
  for (DType dtype : {DType::f32, DType::bf16})
    for (int64_t dim : {5, 64}) {
      auto run = [&](Device device) {
        Runtime runtime(device, 1 << 24);
        Tensor qkv = normal_numbers({3, 4, dim}, 1, dtype), cache = normal_numbers({7, 2, dim}, 2, dtype);
        Tensor q = cache_write(qkv, numbers_of({6, 0, 2}), 2, cache);
        return std::pair(floats_of(q), floats_of(cache));
      };
      EXPECT_EQ(run({}), run(kGpu)) << dim;
    }
}

TEST_F(GpuAttention, RotaryCacheIsRotaryAndThenCacheWrite) {
  Runtime runtime(kGpu, 1 << 24);
  for (DType dtype : {DType::f32, DType::bf16})
    for (const RotarySpec& spec :
         {RotarySpec{.dims = 64}, RotarySpec{.dims = 20}, RotarySpec{.dims = 32, .interleaved = true}}) {
      Tensor positions = numbers_of({70, 0, 1000}), slots = numbers_of({6, 0, 2});
      auto run = [&](auto&& write) {
        Tensor qkv = normal_numbers({3, 6, 64}, 1, dtype), cache = normal_numbers({7, 4, 64}, 2, dtype);
        Tensor q = write(qkv, cache);
        return std::pair(floats_of(q), floats_of(cache));
      };
      auto apart = run([&](const Tensor& qkv, Tensor& cache) {
        return cache_write(rotary(qkv, positions, 4, spec), slots, 2, cache);
      });
      auto at_once =
          run([&](const Tensor& qkv, Tensor& cache) { return rotary_cache(qkv, positions, spec, slots, 2, cache); });
      EXPECT_EQ(apart, at_once) << spec.dims << ' ' << name_of(dtype);
    }
}

/// A step that decodes: sequences of these tokens, the new one included, in a cache of `capacity` slots each.
struct StepCase {
  const char* name;
  AttentionSpec spec;
  std::vector<int32_t> lengths;
  int64_t capacity;

  /// What attention gives and what the cache holds then.
  std::pair<std::vector<float>, std::vector<float>> run(bool at_once) const {
    Runtime runtime(kGpu, 1 << 28);
    auto count = int64_t(lengths.size());
    std::vector<int32_t> starts, slots, positions, offsets{0};
    for (int64_t i = 0; i < count; ++i) {
      starts.push_back(int32_t(i * capacity));
      positions.push_back(lengths[size_t(i)] - 1);
      slots.push_back(starts.back() + positions.back());
      offsets.push_back(int32_t(i) + 1);
    }
    Tensor cache = normal_numbers({count * capacity, 2 * spec.kv_heads, spec.head_dim}, 1, DType::bf16);
    Tensor qkv = normal_numbers({count, spec.heads + 2 * spec.kv_heads, spec.head_dim}, 2, DType::bf16);
    Tensor position = numbers_of(positions), slot = numbers_of(slots), offset = numbers_of(offsets);
    CachedSequences sequences{numbers_of(starts), numbers_of(lengths), capacity};
    runtime.accelerator->synchronize();
    Tensor out;
    if (at_once) {
      out = attention_step(qkv, {position, slot, offset}, cache, sequences, spec);
    } else {
      Tensor q = spec.rotary.dims ? rotary_cache(qkv, position, spec.rotary, slot, spec.heads, cache)
                                  : cache_write(qkv, slot, spec.heads, cache);
      out = attention_cached(q, cache, offset, sequences, spec);
    }
    return {floats_of(out), floats_of(cache)};
  }
};

TEST_F(GpuAttention, AStepGivesTheBitsOfItsParts) {
  auto spec = [](int64_t heads, int64_t kv_heads, int64_t dim, RotarySpec rotary, int64_t window = 0) {
    return AttentionSpec{.heads = heads,
                         .kv_heads = kv_heads,
                         .head_dim = dim,
                         .scale = 1 / std::sqrt(float(dim)),
                         .window = window,
                         .rotary = rotary};
  };
  for (const StepCase& c : std::vector<StepCase>{
           {"one", spec(32, 4, 64, {.dims = 64}), {200}, 256},
           {"first", spec(4, 4, 128, {.dims = 128}), {1, 33}, 64},
           {"several", spec(8, 2, 64, {.dims = 64}), {256, 1, 257, 300, 31, 32, 33}, 400},
           {"many heads a key", spec(40, 2, 64, {.dims = 20}), {77, 5}, 100},
           {"split", spec(32, 4, 64, {.dims = 64}), {3000, 1}, 4096},
           {"interleaved", spec(6, 3, 80, {.dims = 32, .interleaved = true}), {50, 70}, 100},
           {"window", spec(6, 3, 96, {.dims = 96}, 40), {39, 300}, 300},
           {"large heads", spec(4, 1, 256, {.dims = 256}), {600, 90}, 1000},
           {"not rotated", spec(12, 12, 64, {}), {100}, 128},
       })
    EXPECT_EQ(c.run(true), c.run(false)) << c.name;
}

}  // namespace
}  // namespace lathe
