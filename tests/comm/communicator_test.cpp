#include "lathe/comm/communicator.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <thread>

#include "lathe/base/error.h"
#include "lathe/tensor/sum.h"
#include "tests/support/ranks.h"

namespace lathe {
namespace {

constexpr int64_t kPart = 6;

float value_of(int rank, int64_t i) { return float(rank + 1) + 0.001f * float(i * i % 17); }

/// What rank `rank` puts in: `elements` numbers that no other rank has.
Tensor filled(int rank, int64_t elements) {
  Tensor tensor = Tensor::empty({elements});
  if (!tensor.is_meta())
    for (int64_t i = 0; i < elements; ++i) tensor.data<float>()[i] = value_of(rank, i);
  return tensor;
}

std::vector<float> values(const Tensor& tensor) {
  return {tensor.data<float>(), tensor.data<float>() + tensor.elements()};
}

/// Sums in rank order, as plain additions.
std::vector<float> sums(int ranks, int64_t elements) {
  std::vector<float> sums(static_cast<size_t>(elements), 0);
  for (int rank = 0; rank < ranks; ++rank)
    for (int64_t i = 0; i < elements; ++i) sums[size_t(i)] += value_of(rank, i);
  return sums;
}

class Ranks : public testing::TestWithParam<int> {};
INSTANTIATE_TEST_SUITE_P(Communicator, Ranks, testing::Values(1, 2, 3, 4), testing::PrintToStringParamName());

TEST_P(Ranks, HoldTheSameSumsAfterAnAllReduce) {
  int size = GetParam();
  std::vector<std::vector<float>> results(static_cast<size_t>(size));
  on_ranks(size, [&](Communicator& ranks) {
    Tensor x = filled(ranks.rank(), 37);
    ranks.all_reduce(x).wait();
    results[size_t(ranks.rank())] = values(x);
  });
  for (const auto& result : results) EXPECT_EQ(result, sums(size, 37));
}

TEST_P(Ranks, HoldAllPartsAfterAnAllGather) {
  int size = GetParam();
  std::vector<std::vector<float>> results(static_cast<size_t>(size));
  on_ranks(size, [&](Communicator& ranks) {
    Tensor part = filled(ranks.rank(), kPart), whole = Tensor::empty({kPart * size});
    ranks.all_gather(part, whole).wait();
    results[size_t(ranks.rank())] = values(whole);
  });
  for (const auto& result : results)
    for (int64_t i = 0; i < kPart * size; ++i) EXPECT_EQ(result[size_t(i)], value_of(int(i / kPart), i % kPart));
}

TEST_P(Ranks, HoldTheirShareOfTheSumAfterAReduceScatter) {
  int size = GetParam();
  std::vector<float> whole_sums = sums(size, kPart * size);
  on_ranks(size, [&](Communicator& ranks) {
    Tensor whole = filled(ranks.rank(), kPart * size), part = Tensor::empty({kPart});
    ranks.reduce_scatter(whole, part).wait();
    auto first = whole_sums.begin() + ranks.rank() * kPart;
    EXPECT_EQ(values(part), std::vector<float>(first, first + kPart));
    EXPECT_EQ(values(whole), values(filled(ranks.rank(), kPart * size)));
  });
}

TEST_P(Ranks, ExchangePiecesInAnAllToAll) {
  int size = GetParam();
  on_ranks(size, [&](Communicator& ranks) {
    Tensor mine = filled(ranks.rank(), kPart * size), theirs = Tensor::empty({kPart * size});
    ranks.all_to_all(mine, theirs).wait();
    for (int64_t i = 0; i < kPart * size; ++i)
      EXPECT_EQ(theirs.data<float>()[i], value_of(int(i / kPart), ranks.rank() * kPart + i % kPart));
  });
}

TEST_P(Ranks, HoldTheRootsNumbersAfterABroadcast) {
  int size = GetParam();
  on_ranks(size, [&](Communicator& ranks) {
    for (int root = 0; root < size; ++root) {
      Tensor x = filled(ranks.rank(), 5);
      ranks.broadcast(x, root).wait();
      EXPECT_EQ(values(x), values(filled(root, 5)));
    }
  });
}

TEST_P(Ranks, PassMessagesInOrder) {
  int size = GetParam();
  on_ranks(size, [&](Communicator& ranks) {
    int next = (ranks.rank() + 1) % size, previous = (ranks.rank() + size - 1) % size;
    for (int64_t n : {3, 9, 1}) {
      if (ranks.rank() % 2 == 0) ranks.send(filled(ranks.rank(), n), next).wait();
      Tensor got = Tensor::empty({n});
      ranks.receive(got, previous).wait();
      if (ranks.rank() % 2 == 1) ranks.send(filled(ranks.rank(), n), next).wait();
      EXPECT_EQ(values(got), values(filled(previous, n)));
    }
  });
}

TEST_P(Ranks, SumHalvesInFullPrecision) {
  int size = GetParam();
  on_ranks(size, [&](Communicator& ranks) {
    Tensor x = Tensor::empty({1}, DType::bf16);
    x.data<BF16>()[0] = BF16(ranks.rank() == 0 ? 256.0f : 0.75f);  // bf16 has 8 bits: 256.75 would be 256
    ranks.all_reduce(x).wait();
    EXPECT_EQ(float(x.data<BF16>()[0]), float(BF16(256.0f + 0.75f * float(size - 1))));
  });
}

TEST_P(Ranks, RepeatManyCollectivesWithoutMixingThem) {
  int size = GetParam();
  on_ranks(size, [&](Communicator& ranks) {
    Tensor x = zeros({3});
    for (int turn = 0; turn < 200; ++turn) {
      fill(x, float(turn));
      ranks.all_reduce(x).wait();
      ASSERT_EQ(x.data<float>()[0], float(turn * size));
    }
  });
}

/// Each collective once, and what it put on the wire.
std::vector<int64_t> sent_by_each(Communicator& ranks) {
  int size = ranks.size(), next = (ranks.rank() + 1) % size, previous = (ranks.rank() + size - 1) % size;
  Tensor part = filled(ranks.rank(), kPart), whole = filled(ranks.rank(), kPart * size), other = zeros({kPart * size});
  const std::function<void()> collectives[] = {[&] { ranks.all_reduce(whole).wait(); },
                                               [&] { ranks.all_gather(part, whole).wait(); },
                                               [&] { ranks.reduce_scatter(whole, part).wait(); },
                                               [&] { ranks.all_to_all(whole, other).wait(); },
                                               [&] { ranks.broadcast(part, 0).wait(); },
                                               [&] {
                                                 ranks.send(part, next).wait();
                                                 ranks.receive(other = zeros({kPart}), previous).wait();
                                               }};
  std::vector<int64_t> sent;
  int64_t& total = Runtime::current().totals.bytes_communicated;
  for (const auto& collective : collectives) {
    int64_t before = total;
    collective();
    sent.push_back(total - before);
  }
  return sent;
}

TEST_P(Ranks, CountOnPaperWhatTheySendInEarnest) {
  int size = GetParam();
  on_ranks(size, [&](Communicator& ranks) {
    std::vector<int64_t> sent = sent_by_each(ranks);
    Runtime meta(Device{}.as_meta(), Runtime::kUnbounded);
    EXPECT_EQ(sent_by_each(*make_counting_communicator(ranks.rank(), size)), sent);
    int64_t bytes = kPart * int64_t(sizeof(float)), others = size - 1;
    EXPECT_EQ(sent, (std::vector<int64_t>{2 * bytes * others, bytes * others, bytes * others, bytes * others,
                                          ranks.rank() == 0 && size > 1 ? bytes : 0, bytes}));
  });
}

using RankBody = std::function<void(Communicator& ranks)>;

/// A collective that a rank waits in for the last one.
struct Waiting {
  const char* name;
  RankBody call;
};

class WaitingRanks : public testing::TestWithParam<Waiting> {};

TEST_P(WaitingRanks, FailWhenOneOfThemThrows) {
  constexpr int kRanks = 3;
  std::atomic<int> told = 0;
  RankBody body = [&](Communicator& ranks) {
    Tensor x = filled(ranks.rank(), 3);
    ranks.all_reduce(x).wait();
    require(ranks.rank() != kRanks - 1, "the disk is full");
    try {
      GetParam().call(ranks);
    } catch (const RankLeft& error) {
      told += text("rank 2 of 3 has left its group") == error.what();
      throw;
    }
  };
  try {
    on_ranks(kRanks, body);
    FAIL() << "a rank threw";
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "the disk is full");
  }
  EXPECT_EQ(told, kRanks - 1);
}

Tensor six() { return zeros({6}); }

INSTANTIATE_TEST_SUITE_P(Communicator, WaitingRanks,
                         testing::Values(Waiting{"AllReduce",
                                                 [](Communicator& ranks) {
                                                   Tensor x = six();
                                                   ranks.all_reduce(x).wait();
                                                 }},
                                         Waiting{"AllGather",
                                                 [](Communicator& ranks) {
                                                   Tensor part = zeros({2}), whole = six();
                                                   ranks.all_gather(part, whole).wait();
                                                 }},
                                         Waiting{"Receive",
                                                 [](Communicator& ranks) {
                                                   Tensor x = six();
                                                   ranks.receive(x, 2).wait();
                                                 }},
                                         Waiting{"Send",
                                                 [](Communicator& ranks) {
                                                   for (int times = 0; times < 2; ++times) ranks.send(six(), 2).wait();
                                                 }}),
                         [](const auto& waiting) { return waiting.param.name; });

TEST(Communicator, LetsARankLeaveThatHasDoneItsPart) {
  on_ranks(2, [](Communicator& ranks) {
    Tensor x = filled(ranks.rank(), 4);
    if (ranks.rank() == 0) {
      ranks.send(x, 1).wait();
    } else {
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
      ranks.receive(x, 0).wait();
      EXPECT_EQ(values(x), values(filled(0, 4)));
    }
  });
}

TEST(Communicator, OfAGroupOfOneGivesBackWhatItGets) {
  Runtime runtime({}, 1 << 20);
  Communicator& alone = mesh_of_one().data;
  Tensor x = filled(0, 8), gathered = zeros({8}), scattered = zeros({8}), exchanged = zeros({8});
  alone.all_reduce(x).wait();
  alone.all_gather(x, gathered).wait();
  alone.reduce_scatter(x, scattered).wait();
  alone.all_to_all(x, exchanged).wait();
  alone.broadcast(x, 0).wait();
  for (const Tensor& result : {x, gathered, scattered, exchanged}) EXPECT_EQ(values(result), values(filled(0, 8)));
  EXPECT_EQ(runtime.totals.bytes_communicated, 0);
}

TEST(Communicator, OnPaperCarriesNoValues) {
  Runtime runtime({}, 1 << 20);
  auto paper = make_counting_communicator(0, 2);
  Tensor x = zeros({4}), y = zeros({8});
  EXPECT_THROW(paper->all_reduce(x), InternalError);
  EXPECT_THROW(paper->all_gather(x, y), InternalError);
}

TEST(Communicator, RefusesPartsThatDoNotMakeTheWhole) {
  Runtime meta(Device{}.as_meta(), Runtime::kUnbounded);
  auto paper = make_counting_communicator(0, 3);
  Tensor x = zeros({4}), y = zeros({11}), half = zeros({12}, DType::bf16), seven = zeros({7}), other = zeros({7});
  EXPECT_THROW(paper->all_gather(x, y), InternalError);
  EXPECT_THROW(paper->all_gather(x, half), InternalError);
  EXPECT_THROW(paper->reduce_scatter(y, x), InternalError);
  EXPECT_THROW(paper->all_to_all(seven, other), InternalError);
}

TEST(Pending, FinishesOnce) {
  int finished = 0;
  Pending pending([&] { ++finished; });
  pending.wait();
  pending.wait();
  EXPECT_EQ(finished, 1);
  Pending().wait();
}

}  // namespace
}  // namespace lathe
