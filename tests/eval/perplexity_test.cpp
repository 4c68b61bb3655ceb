#include "lathe/eval/perplexity.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>

#include "lathe/base/durable_file.h"
#include "lathe/base/threads.h"
#include "lathe/files/model_config.h"
#include "lathe/files/tensor_files.h"
#include "lathe/train/trainer.h"
#include "tests/support/error_of.h"
#include "tests/support/temporary_directory.h"
#include "tests/support/whole_pass.h"

namespace lathe::eval {
namespace {

using testing::HasSubstr;

/// One document of random tokens.
class RandomSource : public TokenSource {
 public:
  explicit RandomSource(int64_t count, int64_t documents = 1) : count_(count), documents_(documents) {}
  bool next(TokenPiece& piece) override {
    if (given_ == documents_) return false;
    piece = {tokens(count_, given_++), 2 * count_, true};
    return true;
  }
  int64_t expected_tokens() const override { return count_ * documents_; }

  static std::vector<int32_t> tokens(int64_t count, int64_t document = 0) {
    std::vector<int32_t> all;
    for (int64_t i = 0; i < count; ++i)
      all.push_back(int32_t(Random(3).fork(uint64_t(document)).bits(uint64_t(i)) % 96));
    return all;
  }

 private:
  int64_t count_, documents_, given_ = 0;
};

/// A small trained-shape model, saved as its family's directory.
class PerplexityOfAModel : public testing::TestWithParam<const char*> {
 protected:
  PerplexityOfAModel() {
    set_threads(1);
    job.model.model_type = GetParam();
    job.model.vocab_size = 96;
    job.model.hidden_size = 32;
    job.model.num_hidden_layers = 2;
    job.model.num_attention_heads = 4;
    job.model.max_position_embeddings = 16;
    job.model.initializer_range = 0.3;
    job.training.dtype = TrainingSettings::Compute::f32;
    job.training.micro_batch = 4;
    job = resolved(job);
    Runtime runtime({}, 64 << 20);
    Trainer trainer(job);
    trainer.initialize();
    replace_file(directory() + "/config.json", model_config_json(job.model, DType::f32));
    save_tensors(directory(), tensor_sources(trainer.inventory(), DType::f32), 1 << 30);
  }

  std::string directory() const { return folder_.path(); }
  PerplexityMeter::Options options(int64_t stride, DType compute = DType::f32) const {
    return {.windows = {.window = 16, .stride = stride, .batch = 4, .start = 5}, .compute = compute, .memory = 1 << 30};
  }
  Perplexity measure(const PerplexityMeter::Options& options, TokenSource& source) const {
    PerplexityMeter meter(directory(), job.model, options);
    return meter.measure(source, [](int32_t) { return 2; });
  }

  JobSettings job;

 private:
  TemporaryDirectory folder_;
};

TEST_P(PerplexityOfAModel, EqualsTheScoreOfTheTrainerOnTheSameTokens) {
  const int64_t count = 4 * 16;
  RandomSource source(count);
  Perplexity found = measure(options(16), source);
  Runtime runtime({}, 64 << 20);
  Trainer trainer(job);
  trainer.initialize();
  data::Batch batch = blank_batch(job);
  batch.targets = RandomSource::tokens(count);
  batch.tokens.assign(1, 5);
  batch.tokens.insert(batch.tokens.end(), batch.targets.begin(), batch.targets.end() - 1);
  EXPECT_EQ(found.tokens, count);
  EXPECT_NEAR(found.nats / trainer.score(batch).value(), 1, 1e-6);
}

TEST_P(PerplexityOfAModel, RunsOnTheBytesItsMetaRunShowed) {
  for (DType compute : {DType::f32, DType::bf16})
    for (bool separate : {false, true}) {
      PerplexityMeter::Options asked = options(8, compute);
      asked.windows.separate = separate;
      PerplexityMeter meter(directory(), job.model, asked);
      RandomSource source(40, 5);  // full batches, and a smaller last one
      meter.measure(source, [](int32_t) { return 2; });
      EXPECT_EQ(meter.arena().use().reserved, meter.memory());
      EXPECT_EQ(meter.arena().use().peak, meter.rehearsal().peak);
    }
}

TEST_P(PerplexityOfAModel, IsThatOfWholeSequencesWhereTheyFitAWindow) {
  RandomSource source(11, 3);
  PerplexityMeter::Options asked = options(16);
  asked.windows.separate = true;
  Perplexity found = measure(asked, source);
  Runtime runtime({}, 64 << 20);
  auto model = ready_model(job.model);
  load_tensors(model->inventory(), TensorFiles(directory()), "");
  double nats = 0;
  for (int64_t document = 0; document < 3; ++document) {
    std::vector<int32_t> targets = RandomSource::tokens(11, document), tokens = {5};
    tokens.insert(tokens.end(), targets.begin(), targets.end() - 1);
    WholePass pass(tokens, {0, 11});
    std::vector<float> logits = values_of(model->forward(pass));
    for (size_t i = 0; i < 11; ++i) {
      double sum = 0;
      for (size_t j = 0; j < 96; ++j) sum += std::exp(double(logits[i * 96 + j]));
      nats += std::log(sum) - double(logits[i * 96 + size_t(targets[i])]);
    }
  }
  EXPECT_NEAR(found.nats / nats, 1, 1e-6);
  EXPECT_EQ(found.documents, 3);
}

TEST_P(PerplexityOfAModel, LeavesTheBytesOfAnUnpredictedTokenOut) {
  RandomSource source(20);
  PerplexityMeter::Options asked = options(8);
  asked.windows.start.reset();
  Perplexity found = measure(asked, source);
  EXPECT_EQ(found.tokens, 19);
  EXPECT_EQ(found.bytes, 38);
  EXPECT_EQ(found.unpredicted, 1);
}

TEST_P(PerplexityOfAModel, RefusesAWindowThatTheModelCannotRead) {
  PerplexityMeter::Options asked = options(8);
  asked.windows.window = 17;
  EXPECT_THAT(error_of([&] { PerplexityMeter(directory(), job.model, asked); }),
              HasSubstr("a window of 17 tokens does not fit the model, which takes 1 to 16"));
}

TEST_P(PerplexityOfAModel, SaysWhatItNeedsWhenMemoryDoesNotSuffice) {
  PerplexityMeter::Options asked = options(8);
  asked.memory = 1000;
  EXPECT_THAT(error_of([&] { PerplexityMeter(directory(), job.model, asked); }),
              HasSubstr("1000 B are available here; try a smaller --batch or --window"));
}

INSTANTIATE_TEST_SUITE_P(Families, PerplexityOfAModel, testing::Values("gpt2", "llama"));

TEST(Perplexity, CountsBitsByTheBytesOfTheText) {
  Perplexity result{.tokens = 8, .bytes = 16, .nats = 16 * std::log(2.0), .seconds = 4};
  EXPECT_DOUBLE_EQ(result.bits_per_byte(), 1);
  EXPECT_DOUBLE_EQ(result.loss(), 2 * std::log(2.0));
  EXPECT_DOUBLE_EQ(result.perplexity(), 4);
  EXPECT_DOUBLE_EQ(result.tokens_per_second(), 2);
  result.add({.tokens = 8, .bytes = 16, .nats = 48 * std::log(2.0), .seconds = 4});
  EXPECT_DOUBLE_EQ(result.bits_per_byte(), 2);
}

}  // namespace
}  // namespace lathe::eval
