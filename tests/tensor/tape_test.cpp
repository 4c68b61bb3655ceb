#include "lathe/tensor/tape.h"

#include <gtest/gtest.h>

#include "lathe/tensor/rehearse.h"
#include "lathe/tensor/sum.h"

namespace lathe {
namespace {

struct Sink : GradientSink {
  void receive(const Tensor& gradient) override {
    if (!total) total = zeros(gradient.shape());
    accumulate(gradient, total);
    ++times;
  }
  Tensor total;
  int times = 0;
};

Tensor plus(const Tensor& a, const Tensor& b) {
  Tensor out = sum(a, b);
  record({&out}, {&a, &b}, {[](std::span<const Tensor> dy) -> Gradients { return {dy[0], dy[0]}; }});
  return out;
}

TEST(Tape, AddsTheGradientsOfEveryUse) {
  Runtime runtime({}, 1 << 20);
  Sink sink;
  Tensor x = zeros({4});
  x.make_leaf(&sink);
  Tape tape;
  Tensor y;
  {
    Recording on(&tape);
    Tensor twice = plus(x, x);
    y = plus(twice, plus(twice, x));
  }
  tape.backward(y, [] {
    Tensor one = zeros({4});
    fill(one, 1);
    return one;
  }());
  EXPECT_EQ(sink.total.data<float>()[0], 5);
  EXPECT_TRUE(tape.empty());
}

TEST(Tape, HandsGradientsOfAnEnclosingTapeOn) {
  Runtime runtime({}, 1 << 20);
  Sink sink;
  Tensor x = zeros({4});
  x.make_leaf(&sink);
  Tape outer;
  Tensor y;
  {
    Recording on(&outer);
    Tensor memory = plus(x, x);
    Tensor start = plus(x, x);
    y = start.detached();
    record({&y}, {&start}, {[memory, start](std::span<const Tensor> dy) -> Gradients {
             Tape inner;
             Tensor z;
             {
               Recording again(&inner);
               z = plus(memory, memory);
             }
             inner.backward(z, dy[0]);
             return {dy[0]};
           }});
  }
  Tensor one = zeros({4});
  fill(one, 1);
  outer.backward(y, one);
  EXPECT_EQ(sink.total.data<float>()[0], 6);
}

TEST(Tape, RefusesAGradientThatReachesNothing) {
  Runtime runtime({}, 1 << 20);
  Sink sink;
  Tensor x = zeros({4}), memory;
  x.make_leaf(&sink);
  {
    Tape gone;
    Recording on(&gone);
    memory = plus(x, x);
  }
  Tape tape;
  Tensor y;
  {
    Recording on(&tape);
    y = plus(memory, x);
  }
  EXPECT_THROW(tape.backward(y, zeros({4})), InternalError);
}

TEST(Tape, RecomputesWhatAScopeDropped) {
  Runtime runtime({}, 1 << 20);
  Sink sink;
  Tensor x = zeros({1024});
  fill(x, 3);
  x.make_leaf(&sink);
  Tape tape;
  Tensor y;
  int again = 0;
  {
    Recording on(&tape);
    RecomputeScope scope;
    Tensor copied = Tensor::empty_like(x);
    copy(x, copied);
    record({&copied}, {&x},
           {[](std::span<const Tensor> dy) -> Gradients { return {dy[0]}; },
            [x = x.detached(), &again](std::span<Tensor> outputs) {
              copy(x, outputs[0]);
              ++again;
            }});
    y = sum(copied, copied);
    record({&y}, {&copied}, {[copied](std::span<const Tensor> dy) -> Gradients {
             EXPECT_EQ(copied.data<float>()[7], 3);
             return {sum(dy[0], dy[0])};
           }});
    scope.finish(y);
    EXPECT_FALSE(copied.storage().present());
  }
  Tensor one = zeros({1024});
  fill(one, 1);
  tape.backward(y, one);
  EXPECT_EQ(again, 1);
  EXPECT_EQ(sink.total.data<float>()[1], 2);
}

/// Both halves of x [2 n]; two outputs of one op.
std::pair<Tensor, Tensor> halves(const Tensor& x) {
  int64_t n = x.elements() / 2;
  Tensor first = copied(x.rows(0, n)), second = copied(x.rows(n, n));
  record({&first, &second}, {&x},
         {[n](std::span<const Tensor> dy) -> Gradients {
            Tensor dx = zeros({2 * n});
            for (int64_t i : {0, 1}) {
              Tensor part = dx.rows(i * n, n);
              if (dy[size_t(i)]) copy(dy[size_t(i)], part);
            }
            return {dx};
          },
          [x = x.detached(), n](std::span<Tensor> outputs) {
            copy(x.rows(0, n), outputs[0]);
            copy(x.rows(n, n), outputs[1]);
          }});
  return {first, second};
}

Tensor filled(Shape shape, float value) {
  Tensor tensor = Tensor::empty(shape);
  fill(tensor, value);
  return tensor;
}

TEST(Tape, TellsAnOpWhichOfItsOutputsNothingUsed) {
  Runtime runtime({}, 1 << 20);
  Sink sink;
  Tensor x = zeros({4});
  x.make_leaf(&sink);
  Tape tape;
  Tensor second;
  {
    Recording on(&tape);
    second = halves(x).second;
  }
  tape.backward(second, filled({2}, 7));
  EXPECT_EQ(sink.total.data<float>()[0], 0);
  EXPECT_EQ(sink.total.data<float>()[3], 7);
}

TEST(Tape, TakesASeedForEachOfSeveralOutputs) {
  Runtime runtime({}, 1 << 20);
  Sink sink;
  Tensor x = zeros({4});
  x.make_leaf(&sink);
  Tape tape;
  std::vector<std::pair<Tensor, Tensor>> seeds;
  {
    Recording on(&tape);
    auto [first, second] = halves(x);
    Tensor more = plus(first, second);
    seeds = {{more, filled({2}, 1)}, {first, filled({2}, 10)}, {more, filled({2}, 100)}, {x, filled({4}, 1000)}};
  }
  tape.backward(seeds);
  EXPECT_EQ(sink.total.data<float>()[0], 1111);
  EXPECT_EQ(sink.total.data<float>()[2], 1101);
}

TEST(Tape, LeavesASeedAsItWas) {
  Runtime runtime({}, 1 << 20);
  Sink sink;
  Tensor x = zeros({4}), seed = filled({4}, 1);
  x.make_leaf(&sink);
  Tape tape;
  Tensor y;
  {
    Recording on(&tape);
    y = plus(plus(x, x), x);
  }
  tape.backward(y, seed);
  EXPECT_EQ(seed.data<float>()[0], 1);
  EXPECT_EQ(sink.total.data<float>()[0], 3);
}

TEST(Tape, RunsBackwardBesideAnotherThatStillRecords) {
  Runtime runtime({}, 1 << 20);
  Sink left, right;
  Tensor x = zeros({2}), z = zeros({2});
  x.make_leaf(&left);
  z.make_leaf(&right);
  Tape one, two;
  Tensor y, w;
  {
    Recording on_one(&one);
    y = plus(x, z);
    {
      Recording on_two(&two);
      w = plus(x, z);
    }
    y = plus(y, x);
    two.backward(w, filled({2}, 5));
    y = plus(y, z);
  }
  EXPECT_TRUE(two.empty());
  EXPECT_EQ(left.total.data<float>()[0], 5);
  one.backward(y, filled({2}, 1));
  EXPECT_EQ(left.total.data<float>()[0], 7);
  EXPECT_EQ(right.total.data<float>()[0], 7);
}

TEST(Tape, RefusesAGradientOfATapeThatOnlyRecords) {
  Runtime runtime({}, 1 << 20);
  Sink sink;
  Tensor x = zeros({2});
  x.make_leaf(&sink);
  Tape outer, inner;
  Recording on(&outer);
  Tensor memory = plus(x, x), y;
  {
    Recording within(&inner);
    y = plus(memory, memory);
  }
  EXPECT_THROW(inner.backward(y, filled({2}, 1)), InternalError);
}

TEST(Tape, FreesWhatAnEntryKeptAsSoonAsItIsUsed) {
  Runtime runtime({}, 1 << 20);
  Sink sink;
  Tensor x = zeros({1024});
  x.make_leaf(&sink);
  Tape tape;
  Tensor y = x;
  std::vector<int64_t> live;
  {
    Recording on(&tape);
    for (int i = 0; i < 3; ++i) {
      Tensor kept = zeros({1024}), next = y.detached();
      record({&next}, {&y}, {[kept, &live](std::span<const Tensor> dy) -> Gradients {
               live.push_back(Runtime::current().arena.use().live);
               return {dy[0]};
             }});
      y = next;
    }
  }
  tape.backward(y, zeros({1024}));
  EXPECT_EQ(live[0] - live[1], 4096);
  EXPECT_EQ(live[1] - live[2], 4096);
}

TEST(RecomputeScope, ComputesAgainBesideAnOutputThatIsGone) {
  Runtime runtime({}, 1 << 20);
  Sink sink;
  Tensor x = filled({2048}, 3);
  x.make_leaf(&sink);
  Tape tape;
  Tensor y;
  {
    Recording on(&tape);
    RecomputeScope scope;
    Tensor used = halves(x).second;
    y = sum(used, used);
    record({&y}, {&used}, {[used](std::span<const Tensor> dy) -> Gradients {
             EXPECT_EQ(used.data<float>()[7], 3);
             return {sum(dy[0], dy[0])};
           }});
    scope.finish(y);
    EXPECT_FALSE(used.storage().present());
  }
  tape.backward(y, filled({1024}, 1));
  EXPECT_EQ(sink.total.data<float>()[2047], 2);
}

TEST(Rehearse, PlacesAnEpisodeThatARealRunFollows) {
  auto episode = [] {
    Tensor a = zeros({1000}), b = zeros({3000});
    a = Tensor();
    Tensor c = zeros({1000});
  };
  Placement placement;
  int64_t peak;
  {
    Runtime meta(Device{}.as_meta(), Runtime::kUnbounded);
    Tensor kept = zeros({100});
    Rehearsal rehearsal = rehearse(episode);
    placement = rehearsal.placement;
    peak = rehearsal.peak;
  }
  Runtime real({}, 1 << 20);
  Tensor kept = zeros({100});
  for (int i = 0; i < 3; ++i) {
    replay(placement, episode);
    EXPECT_EQ(real.arena.use().peak, peak);
    EXPECT_EQ(real.arena.use().reserved, kept.bytes() + 112 + placement.reserved);
  }
  EXPECT_THROW(replay(placement, [] { Tensor a = zeros({100000}); }), InternalError);
  EXPECT_EQ(real.arena.use().live, 512);
}

}  // namespace
}  // namespace lathe
