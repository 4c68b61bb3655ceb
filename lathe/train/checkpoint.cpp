#include "lathe/train/checkpoint.h"

#include "lathe/nn/catcher.h"
#include "lathe/tensor/tape.h"

namespace lathe {
namespace {

class CheckpointedBlock : public BlockWrapper {
 public:
  using BlockWrapper::BlockWrapper;

  Tensor forward(const Tensor& hidden, Pass& pass) override {
    if (!Recording::current()) return inner_->forward(hidden, pass);
    Tensor y;
    {
      Recording paused(nullptr);
      y = inner_->forward(hidden, pass);
    }
    BackwardRule rule;
    rule.always = true;  // the block's own parameters need gradients even when its input does not
    rule.run = [this, x = hidden.detached(), wanted = hidden.needs_gradient(), &pass](std::span<const Tensor> dy) {
      return differentiate(x, wanted, pass, dy[0]);
    };
    record({&y}, {&hidden}, std::move(rule));
    return y;
  }

 private:
  Gradients differentiate(const Tensor& x, bool wanted, Pass& pass, const Tensor& dy) {
    Catcher catcher;
    Tape tape;
    Tensor z;
    {
      Recording recording(&tape);
      Tensor again = x.detached();
      if (wanted) again.make_leaf(&catcher);
      z = inner_->forward(again, pass);
    }
    tape.backward(z, dy);
    return {catcher.take()};
  }
};

class RecomputedBlock : public BlockWrapper {
 public:
  using BlockWrapper::BlockWrapper;

  Tensor forward(const Tensor& hidden, Pass& pass) override {
    RecomputeScope scope;
    Tensor y = inner_->forward(hidden, pass);
    scope.finish(y);
    return y;
  }
};

}  // namespace

std::unique_ptr<Block> checkpointed(std::unique_ptr<Block> block) {
  return std::make_unique<CheckpointedBlock>(std::move(block));
}

std::unique_ptr<Block> recomputed(std::unique_ptr<Block> block) {
  return std::make_unique<RecomputedBlock>(std::move(block));
}

}  // namespace lathe
