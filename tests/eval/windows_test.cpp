#include "lathe/eval/windows.h"

#include <gtest/gtest.h>

#include <numeric>

namespace lathe::eval {
namespace {

/// Documents of consecutive numbers, a byte each, in pieces of up to `piece`.
class CountingSource : public TokenSource {
 public:
  CountingSource(std::vector<int64_t> documents, int64_t piece) : documents_(std::move(documents)), piece_(piece) {}
  bool next(TokenPiece& piece) override {
    if (document_ == documents_.size()) return false;
    int64_t count = std::min(piece_, documents_[document_] - given_);
    piece.tokens.resize(size_t(count));
    std::iota(piece.tokens.begin(), piece.tokens.end(), number_);
    number_ += int32_t(count);
    given_ += count;
    piece.bytes = count;
    piece.ends_document = given_ == documents_[document_];
    if (piece.ends_document) given_ = 0, ++document_;
    return true;
  }
  int64_t expected_tokens() const override { return number_; }

 private:
  std::vector<int64_t> documents_;
  int64_t piece_, given_ = 0;
  size_t document_ = 0;
  int32_t number_ = 1;
};

/// What all windows together predict, in order, and from how many tokens each.
struct Scored {
  std::vector<int32_t> targets;
  std::vector<int64_t> contexts;
  std::vector<int32_t> unpredicted;
  int64_t bytes = 0, documents = 0;
};

Scored score(TokenSource& source, const WindowOptions& options) {
  Windows windows(source, options);
  Scored scored;
  WindowBatch batch;
  while (windows.next(batch)) {
    EXPECT_LE(int64_t(batch.tokens.size()), options.batch_tokens());
    EXPECT_LE(int64_t(batch.rows.size()), options.batch_rows());
    EXPECT_EQ(batch.offsets.back(), int64_t(batch.tokens.size()));
    for (size_t i = 1; i < batch.offsets.size(); ++i)
      EXPECT_LE(batch.offsets[i] - batch.offsets[i - 1], options.window);
    for (size_t i = 0; i < batch.rows.size(); ++i) {
      size_t row = size_t(batch.rows[i]);
      EXPECT_TRUE(batch.tokens[row] + 1 == batch.targets[i] || batch.tokens[row] == 0);
      scored.targets.push_back(batch.targets[i]);
      scored.contexts.push_back(batch.positions[row] + 1);
    }
  }
  scored.unpredicted = windows.unpredicted();
  scored.bytes = windows.bytes();
  scored.documents = windows.documents();
  return scored;
}

std::vector<int32_t> numbers(int32_t first, int32_t last) {
  std::vector<int32_t> all(size_t(last - first + 1));
  std::iota(all.begin(), all.end(), first);
  return all;
}

TEST(Windows, PredictEachTokenOnceWhateverTheStride) {
  for (int64_t stride : {1, 3, 4, 7, 8})
    for (int64_t length : {1, 2, 7, 8, 9, 16, 50})
      for (int64_t batch : {1, 3})
        for (int64_t piece : {1, 5, 100}) {
          CountingSource source({length}, piece);
          Scored scored = score(source, {.window = 8, .stride = stride, .batch = batch, .start = 0});
          ASSERT_EQ(scored.targets, numbers(1, int32_t(length))) << stride << ' ' << batch << ' ' << piece;
          for (size_t i = 0; i < scored.contexts.size(); ++i)
            ASSERT_GE(scored.contexts[i], std::min<int64_t>(int64_t(i) + 1, 8 - stride + 1));
          EXPECT_EQ(scored.bytes, length);
          EXPECT_TRUE(scored.unpredicted.empty());
        }
}

TEST(Windows, LeaveOutTheFirstTokenWithoutAStartToken) {
  CountingSource source({20}, 6);
  Scored scored = score(source, {.window = 8, .stride = 4, .batch = 2});
  EXPECT_EQ(scored.targets, numbers(2, 20));
  EXPECT_EQ(scored.unpredicted, std::vector<int32_t>{1});
}

TEST(Windows, RunAcrossDocumentsThatAreJoined) {
  CountingSource source({3, 1, 9}, 4);
  Scored scored = score(source, {.window = 8, .stride = 8, .batch = 1, .start = 0});
  EXPECT_EQ(scored.targets, numbers(1, 13));
  EXPECT_EQ(scored.contexts, (std::vector<int64_t>{1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3, 4, 5}));
  EXPECT_EQ(scored.documents, 3);
}

TEST(Windows, BeginAnewInDocumentsThatAreSeparate) {
  for (int64_t batch : {1, 2, 10}) {
    CountingSource source({3, 1, 0, 9}, 4);
    Scored scored = score(source, {.window = 8, .stride = 4, .batch = batch, .separate = true, .start = 0});
    EXPECT_EQ(scored.targets, numbers(1, 13));
    EXPECT_EQ(scored.contexts, (std::vector<int64_t>{1, 2, 3, 1, 1, 2, 3, 4, 5, 6, 7, 8, 5}));
    EXPECT_EQ(scored.documents, 4);
  }
}

TEST(Windows, GiveNothingForATextWithoutTokens) {
  CountingSource source({0}, 4);
  EXPECT_TRUE(score(source, {.window = 8, .stride = 4, .start = 0}).targets.empty());
}

TEST(Windows, MayLieSideBySideWithTheirSecondHalfPredicted) {  // as llama-perplexity has them
  for (int64_t batch : {1, 2}) {
    CountingSource source({13, 7}, 3);
    Scored scored = score(source, {.window = 8, .stride = 8, .batch = batch, .halves = true});
    EXPECT_EQ(scored.targets, (std::vector<int32_t>{6, 7, 8, 14, 15, 16}));
    EXPECT_EQ(scored.contexts, (std::vector<int64_t>{5, 6, 7, 5, 6, 7}));
    EXPECT_EQ(scored.unpredicted.size(), 14u);
    EXPECT_EQ(scored.bytes, 20);
  }
}

TEST(Windows, BeginEachWithTheStartTokenWhereTheyLieSideBySide) {
  CountingSource source({16}, 5);
  Windows windows(source, {.window = 8, .stride = 8, .batch = 1, .halves = true, .start = 0});
  WindowBatch batch;
  ASSERT_TRUE(windows.next(batch));
  EXPECT_EQ(batch.tokens, (std::vector<int32_t>{0, 1, 2, 3, 4, 5, 6}));
  ASSERT_TRUE(windows.next(batch));
  EXPECT_EQ(batch.tokens, (std::vector<int32_t>{0, 9, 10, 11, 12, 13, 14}));
  EXPECT_EQ(batch.targets, (std::vector<int32_t>{13, 14, 15}));
  EXPECT_FALSE(windows.next(batch));
}

}  // namespace
}  // namespace lathe::eval
