#include "lathe/infer/generator.h"

#include <gtest/gtest.h>

#include "lathe/base/utf8.h"
#include "lathe/models/family.h"
#include "tests/infer/infer_support.h"
#include "tests/support/error_of.h"

namespace lathe {
namespace {

using namespace test;

struct ModelShape {
  const char* kind;
  DType dtype;
};

class EveryModel : public testing::TestWithParam<ModelShape> {
 protected:
  Runtime runtime{{}, int64_t{64} << 20};
  DType dtype = GetParam().dtype;
  TinyModel tiny{GetParam().kind, GetParam().dtype};
  std::vector<std::vector<TokenId>> prompts = {random_tokens(5, 1), random_tokens(1, 2), random_tokens(23, 3),
                                               random_tokens(9, 4)};
};

TEST_P(EveryModel, WritesTheTokensOfTheUncachedForwardPass) {
  for (const std::vector<TokenId>& prompt : prompts) {
    std::vector<TokenId> written = generate(*tiny.prepared, tiny.config, dtype, {prompt}, greedy(30), 1)[0].tokens;
    ASSERT_EQ(written.size(), 30u);
    std::vector<TokenId> all = prompt;
    all.insert(all.end(), written.begin(), written.end());
    EXPECT_EQ(written, likeliest_after(*tiny.whole, all, prompt.size()));
  }
}

TEST_P(EveryModel, WritesTheSameInAnyBatch) {
  GenerationOptions options{.max_new_tokens = 20};
  options.sampling.temperature = 1;
  std::vector<Generated> one = generate(*tiny.prepared, tiny.config, dtype, prompts, options, 1);
  for (int64_t batch : {2, 4}) {
    std::vector<Generated> many = generate(*tiny.prepared, tiny.config, dtype, prompts, options, batch);
    for (size_t i = 0; i < prompts.size(); ++i) EXPECT_EQ(many[i].tokens, one[i].tokens) << batch;
  }
}

TEST_P(EveryModel, WritesTheSameWithWeightsInTraining) {
  EXPECT_EQ(generate(*tiny.whole, tiny.config, dtype, prompts, greedy(10), 4)[2].tokens,
            generate(*tiny.prepared, tiny.config, dtype, prompts, greedy(10), 4)[2].tokens);
}

INSTANTIATE_TEST_SUITE_P(Generator, EveryModel,
                         testing::Values(ModelShape{"gpt2", DType::f32}, ModelShape{"gpt2", DType::bf16},
                                         ModelShape{"llama", DType::f32}, ModelShape{"llama", DType::bf16},
                                         ModelShape{"llama_tied", DType::bf16}),
                         [](const auto& shape) {
                           return std::string(shape.param.kind) + "_" + name_of(shape.param.dtype);
                         });

class Writing : public testing::Test {
 protected:
  Runtime runtime{{}, int64_t{64} << 20};
  TinyModel tiny{"gpt2", DType::f32};
  std::vector<TokenId> prompt = random_tokens(5, 1);

  Generated write(const GenerationOptions& options, const GenerationHooks& hooks = {},
                  const std::vector<TokenId>& ends = {}) {
    return generate(*tiny.prepared, tiny.config, DType::f32, {prompt}, options, 1, hooks, ends)[0];
  }
};

TEST_F(Writing, EndsAtItsLengthAnEndTokenOrTheContext) {
  Generated whole = write(greedy(12));
  EXPECT_EQ(whole.finish, Finish::length);
  Generated ended = write(greedy(12), {}, {whole.tokens[7]});
  EXPECT_EQ(ended.finish, Finish::end_token);
  size_t first = size_t(std::find(whole.tokens.begin(), whole.tokens.end(), whole.tokens[7]) - whole.tokens.begin());
  EXPECT_EQ(ended.tokens.size(), first + 1);
  Generated full = write(greedy(1000));
  EXPECT_EQ(full.finish, Finish::context);
  EXPECT_EQ(full.tokens.size(), 64 - prompt.size());
}

TEST_F(Writing, ShowsTextInWholeCharactersAndNothingOfAStopString) {
  std::string pieces;
  size_t calls = 0;
  GenerationHooks hooks{.on_text = [&](size_t, const std::string& piece) {
    pieces += piece;
    ++calls;
    EXPECT_TRUE(valid_utf8(piece));
  }};
  Generated whole = write(greedy(40), hooks);
  EXPECT_EQ(pieces, whole.text);
  EXPECT_EQ(whole.text, byte_tokenizer().decode_text(whole.tokens));
  EXPECT_GT(calls, 10u);
  pieces.clear();
  std::string stop = whole.text.substr(9, 3);
  GenerationOptions stopping = greedy(40);
  stopping.stop = {"nowhere in it", stop};
  Generated stopped = write(stopping, hooks);
  EXPECT_EQ(stopped.finish, Finish::stop_string);
  EXPECT_EQ(stopped.text, whole.text.substr(0, whole.text.find(stop)));
  EXPECT_EQ(pieces, stopped.text);
}

TEST_F(Writing, IsTheSameForASeedAndOtherForAnother) {
  GenerationOptions options{.max_new_tokens = 30};
  options.sampling.temperature = 2;
  std::vector<TokenId> first = write(options).tokens;
  EXPECT_EQ(write(options).tokens, first);
  options.sampling.seed = 2;
  EXPECT_NE(write(options).tokens, first);
}

TEST_F(Writing, StopsWhenAskedTo) {
  int steps = 0;
  std::vector<std::vector<TokenId>> prompts(3, prompt);
  std::vector<Finish> reported;
  GenerationHooks hooks{.on_finish = [&](size_t, const Generated& result) { reported.push_back(result.finish); },
                        .stop = [&] { return ++steps > 4; }};
  std::vector<Generated> results = generate(*tiny.prepared, tiny.config, DType::f32, prompts, greedy(30), 2, hooks);
  EXPECT_EQ(results[0].tokens.size(), 4u);
  EXPECT_EQ(results[2].tokens.size(), 0u);
  EXPECT_EQ(reported, std::vector<Finish>(3, Finish::interrupted));
}

TEST_F(Writing, RefusesAPromptThatLeavesNoRoom) {
  prompt = random_tokens(64, 1);
  EXPECT_EQ(error_of([&] { write(greedy(1)); }),
            "prompt 1 has 64 tokens; the model's context is 64, which leaves no room for a text; shorten it");
  prompt.clear();
  EXPECT_EQ(error_of([&] { write(greedy(1)); }), "prompt 1 has no tokens");
}

TEST_F(Writing, RefusesOptionsOutOfRange) {
  prompt = random_tokens(4, 1);
  EXPECT_NE(error_of([&] { write(greedy(0)); }), "");
  GenerationOptions options = greedy(1);
  options.stop = {""};
  EXPECT_EQ(error_of([&] { write(options); }), "a stop string must not be empty");
}

TEST(Generator, CutsALongPromptByItsOwnPositions) {
  Runtime runtime({}, int64_t{64} << 20);
  ModelConfig config = tiny_config("llama");
  config.num_hidden_layers = 1;
  config.max_position_embeddings = 1600;
  std::unique_ptr<Model> model = make_model(config);
  for (Parameter* parameter : model->inventory().parameters) {
    parameter->materialize_trained(DType::f32);
    initialize(*parameter, Random(1));
  }
  std::vector<std::vector<TokenId>> prompts = {random_tokens(1030, 1), random_tokens(515, 2), random_tokens(7, 3)};
  std::vector<Generated> one = generate(*model, config, DType::f32, prompts, greedy(5), 1);
  std::vector<Generated> all = generate(*model, config, DType::f32, prompts, greedy(5), 3);
  for (size_t i = 0; i < prompts.size(); ++i) {
    EXPECT_EQ(all[i].tokens, one[i].tokens);
    EXPECT_EQ(one[i].tokens[0], likeliest(*model, prompts[i]));
  }
}

TEST(Generator, ResumesWithWhatTheCacheHolds) {
  Runtime runtime({}, int64_t{64} << 20);
  TinyModel model("llama", DType::f32);
  Decoder decoder(*model.prepared, model.config, DType::f32, {.sequences = 1, .length = 64, .step_tokens = 64});
  Generator generator(decoder, byte_tokenizer(), {}, greedy(5));
  std::vector<TokenId> prompt = random_tokens(10, 1);
  for (int turn = 0; turn < 3; ++turn) {
    Generated fresh = generate(*model.prepared, model.config, DType::f32, {prompt}, greedy(5), 1)[0];
    Generated resumed = generator.resume(prompt);
    EXPECT_EQ(resumed.tokens, fresh.tokens) << turn;
    EXPECT_EQ(resumed.prompt_tokens, turn == 0 ? 10 : 4) << turn;  // the last token of a text was never computed
    prompt.insert(prompt.end(), resumed.tokens.begin(), resumed.tokens.end());
    for (TokenId token : random_tokens(3, uint64_t(turn) + 7)) prompt.push_back(token);
  }
}

TEST(Generator, ResumesAfterAnotherBeginning) {
  Runtime runtime({}, int64_t{64} << 20);
  TinyModel model("llama", DType::f32);
  Decoder decoder(*model.prepared, model.config, DType::f32, {.sequences = 1, .length = 64, .step_tokens = 64});
  Generator generator(decoder, byte_tokenizer(), {}, greedy(5));
  std::vector<TokenId> prompt = random_tokens(20, 1), other = prompt;
  other[12] = 250;
  generator.resume(prompt);
  Generated resumed = generator.resume(other);
  EXPECT_EQ(resumed.prompt_tokens, 8);
  EXPECT_EQ(resumed.tokens, generate(*model.prepared, model.config, DType::f32, {other}, greedy(5), 1)[0].tokens);
  EXPECT_EQ(generator.resume(other).prompt_tokens, 1);
  EXPECT_EQ(generator.run(std::vector<std::vector<TokenId>>{prompt})[0].prompt_tokens, 20);
  EXPECT_EQ(generator.resume(prompt).prompt_tokens, 20);
}

}  // namespace
}  // namespace lathe
