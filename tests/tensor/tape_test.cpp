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
