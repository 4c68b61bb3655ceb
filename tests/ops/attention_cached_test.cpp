#include <gtest/gtest.h>
#include <omp.h>

#include <algorithm>
#include <numeric>

#include "attention_support.h"
#include "lathe/ops/attention.h"
#include "lathe/ops/cache_write.h"
#include "lathe/tensor/rehearse.h"

namespace lathe {
namespace {

/// Sequences with some tokens in a cache and some new ones; the cache has holes between sequences.
struct CachedCase {
  std::string name;
  AttentionSpec spec;
  std::vector<int32_t> before, fresh;
  int64_t distances = 0;
};

CachedCase cached_case(std::string name, int64_t heads, int64_t kv_heads, int64_t head_dim) {
  return {std::move(name),
          AttentionCase::of("", heads, kv_heads, head_dim, {1}).spec,
          {0, 300, 5, 127, 64, 0},
          {70, 1, 8, 1, 9, 1}};
}

std::vector<CachedCase> cached_cases() {
  std::vector<CachedCase> cases{cached_case("plain", 2, 2, 32), cached_case("grouped", 6, 2, 40),
                                cached_case("wide", 1, 1, 600)};
  auto changed = [&](const char* name, auto change) {
    cases.push_back(cases.front());
    cases.back().name = name;
    change(cases.back());
  };
  changed("window", [](CachedCase& c) { c.spec.window = 40; });
  changed("softcap", [](CachedCase& c) { c.spec.softcap = 1.5f; });
  changed("bias", [](CachedCase& c) { c.distances = 61; });
  return cases;
}

struct Cache {
  Cache(const CachedCase& c, DType dtype) : spec(c.spec) {
    std::vector<int32_t> offsets{0}, whole{0}, starts, lengths;
    for (size_t n = 0; n < c.fresh.size(); ++n) {
      offsets.push_back(offsets.back() + c.fresh[n]);
      lengths.push_back(c.before[n] + c.fresh[n]);
      starts.push_back(n == 0 ? 3 : starts.back() + lengths[n - 1] + 3);
      whole.push_back(whole.back() + lengths.back());
    }
    if (c.distances) {
      spec.bias = normal_numbers({spec.heads, c.distances}, 3);
      spec.bias_zero = c.distances / 2;
    }
    q = normal_numbers({offsets.back(), spec.heads, spec.head_dim}, 1, dtype);
    memory = normal_numbers({starts.back() + lengths.back() + 3, 2 * spec.kv_heads, spec.head_dim}, 2, dtype);
    query_offsets = numbers_of(offsets);
    sequences = {numbers_of(starts), numbers_of(lengths), *std::max_element(lengths.begin(), lengths.end())};
    gapless = Tensor::empty({whole.back(), 2 * spec.kv_heads, spec.head_dim}, dtype);
    memory_offsets = numbers_of(whole);
    for (size_t n = 0; n < c.fresh.size() && !q.is_meta(); ++n) {
      Tensor from = memory.rows(starts[n], lengths[n]);
      std::copy_n(from.data<std::byte>(), from.bytes(), gapless.rows(whole[n], lengths[n]).data<std::byte>());
    }
  }
  Tensor run() const { return attention_cached(q, memory, query_offsets, sequences, spec); }

  AttentionSpec spec;
  Tensor q, memory, query_offsets, gapless, memory_offsets;
  CachedSequences sequences;
};

TEST(AttentionCached, EqualsAttentionToWholeMemoryOnEveryInstructionSet) {
  Runtime runtime({}, 1 << 28);
  for (const CachedCase& c : cached_cases())
    for (DType dtype : {DType::f32, DType::bf16}) {
      Cache cache(c, dtype);
      set_isa(Isa::plain);
      std::vector<float> expected =
          floats_of(attention(cache.q, cache.gapless, cache.query_offsets, cache.memory_offsets, cache.spec));
      for (Isa isa : available_isas()) {
        set_isa(isa);
        std::vector<float> actual = floats_of(cache.run());
        // bf16: results are rounded to 8 bits; tiles also round weights
        for (size_t i = 0; i < expected.size(); ++i)
          ASSERT_NEAR(actual[i], expected[i], dtype == DType::f32 ? 3e-6 : 2e-2) << c.name << ' ' << isa_name(isa);
      }
    }
}

TEST(AttentionCached, HasTheBitsOfAttentionToWholeMemory) {
  Runtime runtime({}, 1 << 28);
  for (const CachedCase& c : cached_cases())
    for (auto [dtype, pairs] : {std::pair(DType::f32, true), {DType::bf16, true}, {DType::bf16, false}})
      for (Isa isa : available_isas()) {
        MultipliesPairs with(pairs);
        Cache cache(c, dtype);
        set_isa(isa);
        EXPECT_EQ(floats_of(cache.run()),
                  floats_of(attention(cache.q, cache.gapless, cache.query_offsets, cache.memory_offsets, cache.spec)))
            << c.name << ' ' << isa_name(isa) << ' ' << name_of(dtype) << (pairs ? " in pairs" : "");
      }
}

TEST(AttentionCached, GivesASequenceTheSameBitsInAnyBatchAndOnAnyNumberOfThreads) {
  Runtime runtime({}, 1 << 28);
  for (const CachedCase& c : cached_cases())
    for (DType dtype : {DType::f32, DType::bf16}) {
      Cache cache(c, dtype);
      std::vector<float> together = floats_of(cache.run()), alone;
      for (size_t n = 0; n < c.fresh.size(); ++n) {
        omp_set_num_threads(int(n) + 1);
        int64_t first = cache.query_offsets.data<int32_t>()[n];
        Tensor out = attention_cached(cache.q.rows(first, c.fresh[n]), cache.memory, numbers_of({0, c.fresh[n]}),
                                      {cache.sequences.starts.rows(int64_t(n), 1),
                                       cache.sequences.lengths.rows(int64_t(n), 1), cache.sequences.longest + 300},
                                      cache.spec);
        std::vector<float> part = floats_of(out);
        alone.insert(alone.end(), part.begin(), part.end());
      }
      EXPECT_EQ(together, alone) << c.name << ' ' << name_of(dtype);
    }
  omp_set_num_threads(omp_get_num_procs());
}

TEST(AttentionCached, CostsOnMetaWhatItCostsOnCpu) {
  for (const CachedCase& c : cached_cases()) {
    auto costs = [&](Device device) {
      Runtime runtime(device, 1 << 28);
      Cache cache(c, DType::bf16);
      cache.run();
      return AttentionCosts{runtime.totals, runtime.arena.use().peak, runtime.arena.use().reserved};
    };
    EXPECT_EQ(costs({}), costs(Device{}.as_meta())) << c.name;
  }
}

TEST(AttentionCached, MakesTheSameAllocationsForAnyLengths) {
  Runtime runtime(Device{}.as_meta(), 1 << 30);
  auto allocations = [&](std::vector<int32_t> fresh) {
    CachedCase c = cached_cases().front();
    c.fresh = std::move(fresh);
    Cache cache(c, DType::f32);
    return rehearse([&] { cache.run(); }).lifetimes;
  };
  std::vector<Lifetime> largest = allocations({70, 70, 70, 70, 70, 70});
  for (const std::vector<int32_t>& fresh :
       {std::vector<int32_t>{1, 1, 1, 1, 1, 1}, {9, 9, 9, 1, 9, 9}, {70, 1, 1, 1, 1, 1}}) {
    std::vector<Lifetime> smaller = allocations(fresh);
    ASSERT_EQ(smaller.size(), largest.size());
    for (size_t i = 0; i < largest.size(); ++i) EXPECT_LE(smaller[i].bytes, largest[i].bytes);
  }
}

TEST(CacheWrite, PutsKeysAndValuesWhereTheSlotsSay) {
  Runtime runtime({}, 1 << 24);
  for (DType dtype : {DType::f32, DType::bf16}) {
    Tensor qkv = normal_numbers({3, 4, 5}, 1, dtype), cache = normal_numbers({7, 2, 5}, 2, dtype);
    std::vector<float> before = floats_of(cache), x = floats_of(qkv);
    std::vector<float> q = floats_of(cache_write(qkv, numbers_of({6, 0, 2}), 2, cache)), after = floats_of(cache);
    for (size_t token = 0; token < 3; ++token) {
      EXPECT_TRUE(std::equal(&q[token * 10], &q[token * 10] + 10, &x[token * 20]));
      size_t slot = std::vector<size_t>{6, 0, 2}[token];
      EXPECT_TRUE(std::equal(&after[slot * 10], &after[slot * 10] + 10, &x[token * 20 + 10]));
    }
    for (size_t slot : {1, 3, 4, 5})
      EXPECT_TRUE(std::equal(&after[slot * 10], &after[slot * 10] + 10, &before[slot * 10]));
  }
}

TEST(CacheWrite, RejectsShapesThatDoNotFit) {
  Runtime runtime({}, 1 << 24);
  Tensor cache = normal_numbers({7, 2, 5}, 2), qkv = normal_numbers({3, 4, 5}, 1);
  EXPECT_THROW(cache_write(qkv, numbers_of({1, 2, 3}), 3, cache), Error);
  EXPECT_THROW(cache_write(qkv, numbers_of({1, 2}), 2, cache), Error);
}

}  // namespace
}  // namespace lathe
