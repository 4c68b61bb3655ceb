// Experts chosen by token (Roller et al. 2021), whose router has a loss of its own.
#include <gtest/gtest.h>

#include "lathe/ops/activation.h"
#include "lathe/ops/elementwise.h"
#include "lathe/tensor/sum.h"
#include "lathe/tensor/tape.h"
#include "lathe/train/checkpoint.h"
#include "tests/support/run_counts.h"
#include "tests/support/small_blocks.h"
#include "tests/support/training_step.h"

namespace lathe {
namespace {

constexpr int64_t kExperts = 4, kTokens = 14, kInner = 24;
constexpr float kAuxiliaryScale = 0.01f;
const std::vector<int32_t> kOffsets = {0, 5, 5, 11, 14};  // the second expert gets nothing

std::vector<Slice> expert_slices(const std::string& name, int64_t out, int64_t in) {
  std::vector<Slice> slices;
  for (int64_t g = 0; g < kExperts; ++g) slices.push_back(whole_matrix(text(name, ".", g), out, in));
  return slices;
}

/// Which token goes to which row when tokens are sorted by expert, and back.
struct Routing {
  Routing() {
    std::vector<int32_t> to_expert, to_token(size_t{kTokens});
    for (int32_t row = 0; row < kTokens; ++row) to_expert.push_back(int32_t(row * 5 % kTokens));
    for (int32_t row = 0; row < kTokens; ++row) to_token[size_t(to_expert[size_t(row)])] = row;
    sorted = tensor_of(to_expert);
    back = tensor_of(to_token);
    offsets = tensor_of(kOffsets);
  }
  Tensor sorted, back, offsets;
};

/// hidden + experts(x) * gate(router(x)), x normed; router logits also have a loss, the sum of their squares.
class ExpertLayer : public Block {
 public:
  explicit ExpertLayer(int layer)
      : norm_(text(layer, ".norm")),
        router_(small_linear(kSmallHidden, {{text(layer, ".router"), kExperts}}, true)),
        gate_(small_linear(kExperts, {{text(layer, ".gate"), kSmallHidden}})) {}

  Tensor forward(const Tensor& hidden, Pass& pass) override {
    Tensor x = norm_(hidden), logits = router_(x, pass);
    Tensor mixed = multiply(experts(x), gate_(logits, pass));
    return finish(add(hidden, mixed), sum_all(multiply(logits, logits)));
  }
  void list(Inventory& inventory) override {
    norm_.list(inventory);
    router_.list(inventory);
    gate_.list(inventory);
    list_experts(inventory);
  }

 protected:
  virtual Tensor experts(const Tensor& x) = 0;
  virtual Tensor finish(Tensor hidden, const Tensor& auxiliary) = 0;
  virtual void list_experts(Inventory& inventory) = 0;

 private:
  SmallNorm norm_;
  Linear router_, gate_;
};

class GroupedExperts : public ExpertLayer {
 public:
  explicit GroupedExperts(int layer)
      : ExpertLayer(layer),
        up_({kExperts, kInner, kSmallHidden}, expert_slices(text(layer, ".up"), kInner, kSmallHidden),
            Init::normal(0.3f)),
        down_({kExperts, kSmallHidden, kInner}, expert_slices(text(layer, ".down"), kSmallHidden, kInner),
              Init::normal(0.3f)) {}

 protected:
  Tensor experts(const Tensor& x) override {
    Tensor inner = activate(up_.multiply_groups(gather_rows(x, routing_.sorted), routing_.offsets), Activation::silu);
    return gather_rows(down_.multiply_groups(inner, routing_.offsets), routing_.back);
  }
  Tensor finish(Tensor hidden, const Tensor& auxiliary) override {
    return with_loss(hidden, auxiliary, kAuxiliaryScale);
  }
  void list_experts(Inventory& inventory) override {
    up_.list(inventory);
    down_.list(inventory);
  }

 private:
  DenseWeight up_, down_;
  Routing routing_;
};

/// The same in plain words: every expert works on all tokens, and a mask keeps its own; the loss is left for the
/// caller.
class MaskedExperts : public ExpertLayer {
 public:
  MaskedExperts(int layer, std::vector<Tensor>& auxiliaries) : ExpertLayer(layer), auxiliaries_(auxiliaries) {
    std::vector<float> row(size_t{kTokens});
    for (int64_t g = 0; g < kExperts; ++g) {
      up_.push_back(weight(text(layer, ".up.", g), kInner, kSmallHidden));
      down_.push_back(weight(text(layer, ".down.", g), kSmallHidden, kInner));
      Tensor mask = zeros({kTokens, kSmallHidden});
      for (int64_t sorted = kOffsets[size_t(g)]; sorted < kOffsets[size_t(g) + 1]; ++sorted) {
        Tensor own = mask.rows(sorted * 5 % kTokens, 1);
        fill(own, 1);
      }
      masks_.push_back(mask);
    }
  }

 protected:
  Tensor experts(const Tensor& x) override {
    Tensor sum;
    for (size_t g = 0; g < size_t{kExperts}; ++g) {
      Tensor y = multiply(down_[g]->multiply(activate(up_[g]->multiply(x, {}), Activation::silu), {}), masks_[g]);
      sum = sum ? add(sum, y) : y;
    }
    return sum;
  }
  Tensor finish(Tensor hidden, const Tensor& auxiliary) override {
    auxiliaries_.push_back(auxiliary);
    return hidden;
  }
  void list_experts(Inventory& inventory) override {
    for (size_t g = 0; g < size_t{kExperts}; ++g) {
      up_[g]->list(inventory);
      down_[g]->list(inventory);
    }
  }

 private:
  std::vector<Tensor>& auxiliaries_;
  std::vector<std::unique_ptr<DenseWeight>> up_, down_;
  std::vector<Tensor> masks_;

  static std::unique_ptr<DenseWeight> weight(const std::string& name, int64_t out, int64_t in) {
    return std::make_unique<DenseWeight>(Shape{out, in}, std::vector<Slice>{whole_matrix(name, out, in)},
                                         Init::normal(0.3f));
  }
};

struct Experts {
  template <class MakeLayer>
  explicit Experts(MakeLayer make_layer, DType compute = DType::f32) {
    auto table = small_table();
    model.blocks.push_back(std::make_unique<SmallEmbedding>(*table));
    for (int layer = 0; layer < 2; ++layer) model.blocks.push_back(make_layer(layer));
    model.blocks.push_back(std::make_unique<SmallHead>(*table));
    model.shared.push_back(std::move(table));
    inventory = model.inventory();
    make_ready(inventory, compute);
  }
  NamedTensors gradients() {
    run_step(model, inventory, pass);
    NamedTensors named;
    put_gradients(inventory, named);
    return named;
  }

  Model model;
  Inventory inventory;
  LossPass pass{random_tokens(kTokens, kSmallVocabulary, 1), {0, kTokens}, random_tokens(kTokens, kSmallVocabulary, 2)};
};

std::unique_ptr<Block> grouped(int layer) { return std::make_unique<GroupedExperts>(layer); }
std::unique_ptr<Block> grouped_again(int layer) { return checkpointed(grouped(layer)); }
std::unique_ptr<Block> grouped_cheaply(int layer) { return recomputed(grouped(layer)); }

/// Gradients of the masked model, whose auxiliary losses are seeds beside the loss.
NamedTensors seeded_gradients() {
  std::vector<Tensor> auxiliaries;
  Experts masked([&](int layer) { return std::make_unique<MaskedExperts>(layer, auxiliaries); });
  for (Parameter* parameter : masked.inventory.parameters) parameter->begin_step();
  Tape tape;
  Tensor one = zeros({1}), share = zeros({1});
  fill(one, 1);
  fill(share, kAuxiliaryScale);
  std::vector<std::pair<Tensor, Tensor>> seeds;
  {
    Recording recording(&tape);
    seeds.push_back({masked.model.forward(masked.pass), one});
  }
  for (const Tensor& auxiliary : auxiliaries) seeds.push_back({auxiliary, share});
  tape.backward(seeds);
  for (Parameter* parameter : masked.inventory.parameters) parameter->finish_step();
  NamedTensors named;
  put_gradients(masked.inventory, named);
  return named;
}

TEST(Experts, HaveTheGradientsOfMaskedProductsAndSeededLosses) {
  Runtime runtime({}, 256 << 20);
  // Groups are summed row by row, whole matrices in blocks of rows: another order.
  expect_near(Experts(grouped).gradients(), seeded_gradients(), 1e-5);
}

TEST(Experts, HaveZeroGradientWhereNoTokenCame) {
  Runtime runtime({}, 256 << 20);
  NamedTensors gradients = Experts(grouped).gradients();
  EXPECT_EQ(gradients.at("0.up.1"), std::vector<float>(kInner * kSmallHidden, 0));
  EXPECT_NE(gradients.at("0.up.2"), std::vector<float>(kInner * kSmallHidden, 0));
}

TEST(Experts, CountTheirAuxiliaryLossOnceHoweverActivationsAreKept) {
  for (DType compute : {DType::f32, DType::bf16}) {
    Runtime runtime({}, 256 << 20);
    NamedTensors plain = Experts(grouped, compute).gradients();
    EXPECT_EQ(Experts(grouped_again, compute).gradients(), plain);
    EXPECT_EQ(Experts(grouped_cheaply, compute).gradients(), plain);
  }
}

TEST(Experts, RunOnTheBytesOfTheirMetaRun) {
  for (auto make_layer : {grouped, grouped_again, grouped_cheaply})
    expect_meta_equals_cpu([&] {
      Experts experts(make_layer);
      run_step(experts.model, experts.inventory, experts.pass);
    });
}

}  // namespace
}  // namespace lathe
