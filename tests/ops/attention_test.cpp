#include "lathe/ops/attention.h"

#include <gtest/gtest.h>

#include <cmath>

#include "attention_support.h"
#include "lathe/base/error.h"

namespace lathe {
namespace {

TEST(Attention, AveragesTheValuesAQuerySees) {
  Runtime runtime({}, 1 << 24);
  AttentionSpec spec = AttentionCase::of("", 1, 1, 4, {3}).spec;
  Tensor qkv = normal_numbers({3, 3, 4}, 1);
  for (int64_t token = 0; token < 3; ++token)
    for (int64_t d = 0; d < 4; ++d) qkv.data<float>()[token * 12 + d] = 0;  // equal scores
  Tensor out = attention(qkv, numbers_of({0, 3}), 3, spec);
  const float* x = qkv.data<float>();
  EXPECT_NEAR(out.data<float>()[1], x[9], 1e-6);
  EXPECT_NEAR(out.data<float>()[2 * 4 + 1], (x[9] + x[21] + x[33]) / 3, 1e-6);
}

TEST(Attention, HasTheGradientOfCentralDifferences) {
  for (const AttentionCase& the_case : attention_cases())
    for (uint64_t seed : {11, 12})
      for (const AttentionSlope& slope : attention_slopes(the_case, seed))
        EXPECT_NEAR(slope.by_gradient, slope.by_differences, 2e-3 * std::abs(slope.by_gradient) + 2e-2)
            << the_case.name;
}

TEST(Attention, AgreesOnEveryInstructionSet) {
  for (const AttentionCase& the_case : attention_cases())
    for (DType dtype : {DType::f32, DType::bf16}) {
      AttentionResult plain = run_attention(the_case, dtype, Isa::plain);
      // bf16: weights are rounded to 8 bits before they meet values, and so are results
      float tolerance = dtype == DType::f32 ? 3e-6f : 2e-2f;
      for (Isa isa : available_isas())
        EXPECT_LE(difference(plain, run_attention(the_case, dtype, isa)), tolerance)
            << the_case.name << ", " << name_of(dtype) << ", " << isa_name(isa);
    }
}

TEST(Attention, AgreesWhetherBf16IsMultipliedInPairsOrWidened) {
  if (!isa_available(Isa::avx512)) GTEST_SKIP() << "this processor has no avx512";
  for (const AttentionCase& the_case : attention_cases()) {
    AttentionResult plain = run_attention(the_case, DType::bf16, Isa::plain);
    for (bool pairs : {false, true}) {
      MultipliesPairs with(pairs);
      EXPECT_LE(difference(plain, run_attention(the_case, DType::bf16, Isa::avx512)), 2e-2f)
          << the_case.name << (pairs ? " in pairs" : " widened");
    }
  }
}

TEST(Attention, GivesTheSameBitsOnAnyNumberOfThreads) {
  for (const AttentionCase& the_case : attention_cases())
    for (Isa isa : available_isas())
      for (DType dtype : {DType::f32, DType::bf16}) {
        AttentionResult one = run_attention(the_case, dtype, isa, 1);
        for (int threads : {2, 7})
          EXPECT_EQ(one.parts, run_attention(the_case, dtype, isa, threads).parts) << the_case.name;
      }
}

TEST(Attention, CostsOnMetaWhatItCostsOnCpu) {
  for (const AttentionCase& the_case : attention_cases())
    for (DType dtype : {DType::f32, DType::bf16})
      EXPECT_EQ(attention_costs(the_case, dtype, Device{}), attention_costs(the_case, dtype, Device{}.as_meta()))
          << the_case.name;
}

TEST(Attention, RejectsShapesThatDoNotFit) {
  Runtime runtime({}, 1 << 24);
  AttentionSpec spec = AttentionCase::of("", 4, 2, 8, {3}).spec;
  Tensor offsets = numbers_of({0, 3});
  auto message = [&](const Tensor& qkv, const AttentionSpec& asked) -> std::string {
    try {
      attention(qkv, offsets, 3, asked);
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  };
  EXPECT_NE(message(normal_numbers({3, 7, 8}, 1), spec).find("qkv [3, 7, 8] does not fit 4 query and 2 key heads of 8"),
            std::string::npos);
  AttentionSpec uneven = spec;
  uneven.kv_heads = 3;
  EXPECT_NE(message(normal_numbers({3, 10, 8}, 1), uneven).find("4 query heads of 8 do not share 3 key heads"),
            std::string::npos);
  AttentionSpec biased = spec;
  biased.bias = normal_numbers({3, 5}, 1);
  EXPECT_NE(message(normal_numbers({3, 8, 8}, 1), biased).find("bias f32 [3, 5] does not fit 4 heads"),
            std::string::npos);
  EXPECT_THROW(attention(normal_numbers({3, 8, 8}, 1), numbers_of({0, 4}), 3, spec), InternalError);
}

}  // namespace
}  // namespace lathe
