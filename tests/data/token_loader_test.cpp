#include "lathe/data/token_loader.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>
#include <thread>

#include "lathe/data/sample_order.h"
#include "tests/data/data_support.h"
#include "tests/support/error_of.h"

namespace lathe::data {
namespace {

std::vector<int32_t> row(const Batch& batch, const std::vector<int32_t>& values, int64_t index) {
  const auto begin = values.begin() + index * batch.sequence_length;
  return {begin, begin + batch.sequence_length};
}

class TokenLoaderTest : public testing::Test {
 protected:
  TokenLoaderTest() {
    write_corpus(scratch_.path("a"), counting_documents(60, 90), counting_documents(7, 50), {.shard_tokens = 1000});
    write_corpus(scratch_.path("b"), counting_documents(30, 400), {}, {.token_bytes = 4});
  }

  std::vector<Batch> batches(const LoaderOptions& options, int count, const std::vector<WeightedCorpus>& corpora) {
    TokenLoader loader(corpora, options);
    std::vector<Batch> all;
    for (int i = 0; i < count; ++i) all.push_back(loader.next());
    return all;
  }
  std::vector<Batch> batches(const LoaderOptions& options, int count) { return batches(options, count, {{&a(), 0}}); }

  const TokenShards& a() {
    if (!a_) a_ = std::make_unique<TokenShards>(scratch_.path("a"));
    return *a_;
  }
  const TokenShards& b() {
    if (!b_) b_ = std::make_unique<TokenShards>(scratch_.path("b"));
    return *b_;
  }

  Scratch scratch_;
  std::unique_ptr<TokenShards> a_, b_;
};

TEST_F(TokenLoaderTest, FillsEveryRowAndShiftsTargetsByOne) {
  for (const Batch& batch : batches({.sequence_length = 32, .rows = 3, .seed = 1}, 10)) {
    ASSERT_EQ(batch.tokens.size(), 96u);
    EXPECT_EQ(batch.target_count, 96);
    EXPECT_EQ(batch.sequence_offsets, (std::vector<int32_t>{0, 32, 64, 96}));
    for (int64_t r = 0; r < 3; ++r) {
      std::vector<int32_t> window(33);
      a().train().read(batch.rows[static_cast<size_t>(r)].first_token, window);
      EXPECT_EQ(row(batch, batch.tokens, r), std::vector<int32_t>(window.begin(), window.end() - 1));
      EXPECT_EQ(row(batch, batch.targets, r), std::vector<int32_t>(window.begin() + 1, window.end()));
      EXPECT_EQ(row(batch, batch.positions, r)[31], 31);
    }
  }
}

TEST_F(TokenLoaderTest, ConfinesSequencesToDocumentsWhenAsked) {
  int64_t ignored = 0;
  for (const Batch& batch : batches({.sequence_length = 64, .rows = 2, .packing = Packing::document, .seed = 2}, 30)) {
    ASSERT_EQ(batch.sequence_offsets.front(), 0);
    ASSERT_EQ(batch.sequence_offsets.back(), 128);
    ASSERT_EQ(batch.sequence_ids.size() + 1, batch.sequence_offsets.size());
    for (size_t i = 0; i < batch.tokens.size(); ++i) {
      const bool starts = std::count(batch.sequence_offsets.begin(), batch.sequence_offsets.end(), i) == 1;
      const bool after_document = i % 64 != 0 && batch.tokens[i - 1] == 0;
      EXPECT_EQ(starts, i % 64 == 0 || after_document);
      EXPECT_EQ(batch.positions[i], starts ? 0 : batch.positions[i - 1] + 1);
      EXPECT_EQ(batch.targets[i] == kIgnoreTarget,
                batch.tokens[i] == 0);  // 0 ends each document and occurs nowhere else
      ignored += batch.targets[i] == kIgnoreTarget;
    }
    EXPECT_EQ(batch.target_count, 128 - std::count(batch.targets.begin(), batch.targets.end(), kIgnoreTarget));
    EXPECT_LE(batch.longest_sequence(), 64);
  }
  EXPECT_GT(ignored, 30);
}

TEST_F(TokenLoaderTest, NumbersEverySequenceOfTheRunDifferently) {
  std::set<int64_t> ids;
  size_t sequences = 0;
  for (int rank = 0; rank < 2; ++rank) {
    const LoaderOptions options{
        .sequence_length = 64, .rows = 2, .micro_batches = 2, .rank = rank, .ranks = 2, .packing = Packing::document};
    for (const Batch& batch : batches(options, 20)) {
      ids.insert(batch.sequence_ids.begin(), batch.sequence_ids.end());
      sequences += batch.sequence_ids.size();
    }
  }
  EXPECT_EQ(ids.size(), sequences);
}

TEST_F(TokenLoaderTest, HoldsTheSameRowsHoweverTheStepIsSplit) {
  const auto rows = [](const std::vector<Batch>& all) {
    std::map<int64_t, std::vector<std::vector<int32_t>>> of_step;
    for (const Batch& batch : all)
      for (size_t r = 0; r < batch.rows.size(); ++r)
        of_step[batch.step].push_back(row(batch, batch.tokens, static_cast<int64_t>(r)));
    return of_step;
  };
  const auto whole = rows(batches({.sequence_length = 16, .rows = 8, .seed = 9}, 6));
  EXPECT_EQ(whole, rows(batches({.sequence_length = 16, .rows = 2, .micro_batches = 4, .seed = 9}, 24)));
  auto two = rows(batches({.sequence_length = 16, .rows = 4, .rank = 0, .ranks = 2, .seed = 9}, 6));
  for (auto& [step, more] : rows(batches({.sequence_length = 16, .rows = 4, .rank = 1, .ranks = 2, .seed = 9}, 6)))
    two[step].insert(two[step].end(), more.begin(), more.end());
  EXPECT_EQ(whole, two);
}

TEST_F(TokenLoaderTest, GoesOnExactlyFromAStepNumber) {
  const std::vector<WeightedCorpus> both = {{&a(), 1}, {&b(), 2.5}};
  const std::vector<Batch> all = batches({.sequence_length = 20, .rows = 2, .micro_batches = 3, .seed = 4}, 60, both);
  LoaderOptions later{.sequence_length = 20, .rows = 2, .micro_batches = 3, .seed = 4, .first_step = 13, .prefetch = 1};
  const std::vector<Batch> rest = batches(later, 21, both);
  for (size_t i = 0; i < rest.size(); ++i) {
    EXPECT_EQ(rest[i].step, all[39 + i].step);
    EXPECT_EQ(rest[i].micro_batch, all[39 + i].micro_batch);
    EXPECT_EQ(rest[i].tokens, all[39 + i].tokens);
    EXPECT_EQ(rest[i].sequence_ids, all[39 + i].sequence_ids);
  }
}

TEST_F(TokenLoaderTest, DrawsCorporaByTheirSizesWithoutWeights) {
  int64_t from_a = 0, rows = 0;
  for (const Batch& batch : batches({.sequence_length = 16, .rows = 16}, 200, {{&a(), 0}, {&b(), 0}}))
    for (const Batch::Row& one : batch.rows) from_a += one.corpus == 0, ++rows;
  const auto tokens_a = static_cast<double>(a().train().tokens()), tokens_b = static_cast<double>(b().train().tokens());
  EXPECT_NEAR(static_cast<double>(from_a) / static_cast<double>(rows), tokens_a / (tokens_a + tokens_b), 0.02);
}

TEST_F(TokenLoaderTest, SaysWhereABatchCameFrom) {
  TokenLoader loader({{&a(), 1}}, {.sequence_length = 16, .rows = 2});
  loader.next();
  const std::string said = loader.describe(loader.next());
  EXPECT_NE(said.find("step 1, micro-batch 0"), std::string::npos) << said;
  EXPECT_NE(said.find("/a (train), epoch 0, documents "), std::string::npos) << said;
}

TEST_F(TokenLoaderTest, MakesBatchesAheadAndCountsTheWait) {
  TokenLoader loader({{&a(), 1}}, {.sequence_length = 16, .rows = 2});
  loader.next();
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  const double before = loader.waited_seconds();
  for (int i = 0; i < 4; ++i) loader.next();
  EXPECT_LT(loader.waited_seconds() - before, 1e-3);
  EXPECT_EQ(loader.batches(), 5);
}

TEST_F(TokenLoaderTest, RejectsACorpusShorterThanOneSequence) {
  const std::string said = error_of([&] { TokenLoader({{&a(), 1}}, {.sequence_length = 100000}); });
  EXPECT_NE(said.find("fewer than one sequence"), std::string::npos) << said;
}

TEST_F(TokenLoaderTest, PassesOnADamagedShard) {
  std::string bytes = read_bytes(scratch_.path("a/train-00000.tokens"));
  std::fill(bytes.begin(), bytes.end(), '\xFF');
  write_bytes(scratch_.path("a/train-00000.tokens"), bytes);
  const std::string said = error_of([&] { batches({.sequence_length = 16, .rows = 64}, 10); });
  EXPECT_NE(said.find("train-00000.tokens: holds token 65535"), std::string::npos) << said;
}

TEST_F(TokenLoaderTest, HoldsOutEveryTokenAsATargetOnceInOrder) {
  const HeldOutStream stream(a(), 16, 3, Packing::concatenated);
  std::vector<int32_t> inputs, targets;
  for (int64_t i = 0; i < stream.batches(); ++i) {
    const Batch batch = stream.batch(i);
    ASSERT_EQ(batch.tokens.size(), 48u);
    for (size_t j = 0; j < batch.targets.size(); ++j) {
      if (batch.targets[j] == kIgnoreTarget) continue;
      inputs.push_back(batch.tokens[j]);
      targets.push_back(batch.targets[j]);
    }
  }
  std::vector<int32_t> expected(static_cast<size_t>(a().held_out().tokens()));
  a().held_out().read(0, expected);
  EXPECT_EQ(targets, expected);
  expected.insert(expected.begin(), 0);  // the end-of-document token before the first
  expected.pop_back();
  EXPECT_EQ(inputs, expected);
}

TEST_F(TokenLoaderTest, HoldsOutEveryTokenButTheFirstOfADocumentWhenConfined) {
  const HeldOutStream stream(a(), 16, 3, Packing::document);
  int64_t targets = 0;
  for (int64_t i = 0; i < stream.batches(); ++i) targets += stream.batch(i).target_count;
  const int64_t crossing = a().held_out().documents();
  EXPECT_EQ(targets, a().held_out().tokens() - crossing);
}

TEST_F(TokenLoaderTest, SaysThatThereIsNoHeldOutPart) {
  const std::string said = error_of([&] { HeldOutStream(b(), 16, 1, Packing::concatenated); });
  EXPECT_NE(said.find("has no held-out text"), std::string::npos) << said;
}

}  // namespace
}  // namespace lathe::data
