#include "lathe/infer/generator.h"
#include "tests/infer/infer_support.h"
#include "tests/support/gpu.h"

namespace lathe {
namespace {

using namespace test;
using GpuGenerator = GpuTest;

/// Writes after `prompts`, two at a time, with graphs or kernel by kernel.
std::vector<std::vector<TokenId>> written(bool with_graphs, const std::vector<std::vector<TokenId>>& prompts,
                                          const std::vector<TokenId>& end_tokens) {
  GenerationOptions options = greedy(30);
  DecoderLimits limits = limits_for(prompts, options.max_new_tokens, 64, 2);
  Placement placement;
  {
    Runtime runtime(kGpu.as_meta(), Runtime::kUnbounded);
    TinyModel tiny("llama", DType::bf16);
    Decoder decoder(*tiny.prepared, tiny.config, DType::bf16, limits);
    placement = rehearse([&] { decoder.largest_step(); }).placement;
  }
  Runtime runtime(kGpu, int64_t{64} << 20);
  TinyModel tiny("llama", DType::bf16);
  Graphs graphs(1);
  Decoder decoder(*tiny.prepared, tiny.config, DType::bf16, limits, with_graphs ? &graphs : nullptr);
  std::vector<std::vector<TokenId>> tokens;
  Generator generator(decoder, byte_tokenizer(), end_tokens, options);
  for (Generated& each : generator.run(prompts, {.run_step = [&](const auto& step) { replay(placement, step); }}))
    tokens.push_back(std::move(each.tokens));
  return tokens;
}

TEST_F(GpuGenerator, WritesTheSameWhereStepsAreLaunchedAhead) {
  std::vector<std::vector<TokenId>> prompts;
  for (uint64_t i = 0; i < 5; ++i) prompts.push_back(random_tokens(3 + 4 * i, i));
  auto plain = written(false, prompts, {});
  EXPECT_EQ(written(true, prompts, {}), plain);
  std::vector<TokenId> ends = {plain[0][9], plain[1][20], plain[4][3]};
  EXPECT_EQ(written(true, prompts, ends), written(false, prompts, ends));
}

}  // namespace
}  // namespace lathe
