// A T5 in small: encoder and decoder, one trained table of position biases for all layers, tied embeddings.
#include <gtest/gtest.h>

#include "lathe/nn/completion.h"
#include "lathe/ops/activation.h"
#include "lathe/ops/elementwise.h"
#include "lathe/tensor/sum.h"
#include "lathe/tensor/tape.h"
#include "lathe/tensor/transfer.h"
#include "lathe/train/checkpoint.h"
#include "tests/support/run_counts.h"
#include "tests/support/small_blocks.h"
#include "tests/support/training_step.h"

namespace lathe {
namespace {

constexpr int64_t kHeadDim = kSmallHidden / kSmallHeads, kBuckets = 4, kLongest = 8, kDistances = 2 * kLongest - 1;

AttentionSpec spec_of(bool causal) {
  return {.heads = kSmallHeads,
          .kv_heads = kSmallHeads,
          .head_dim = kHeadDim,
          .scale = 1,
          .causal = causal,
          .rotary = {},
          .bias = {},
          .bias_zero = kLongest - 1};
}

/// Adds to a score what the distance's bucket says (Raffel et al. 2020).
class PositionBias : public Module {
 public:
  PositionBias()
      : table_({kSmallHeads * kBuckets, 1}, {whole_matrix("bias", kSmallHeads * kBuckets, 1)}, Init::normal(0.5f),
               true) {
    std::vector<int32_t> ids;
    for (int64_t head = 0; head < kSmallHeads; ++head)
      for (int64_t at = 0; at < kDistances; ++at)
        ids.push_back(int32_t(head * kBuckets + std::min(std::abs(at - kLongest + 1), kBuckets - 1)));
    ids_ = tensor_of(ids);
  }
  Tensor operator()() const { return reshape(gather_rows(table_.value, ids_), {kSmallHeads, kDistances}); }
  void list(Inventory& inventory) override { inventory.add(table_); }

 private:
  Parameter table_;
  Tensor ids_;
};

/// What encoder and decoder passes add: the bias for every layer's attention, and the encoder's memory.
class T5Pass : public LossPass {
 public:
  T5Pass(const std::vector<int32_t>& tokens, const std::vector<int32_t>& offsets, const std::vector<int32_t>& targets)
      : LossPass(tokens, offsets, targets), offsets_(tensor_of(offsets)) {}

  Tensor attend(int layer, const Tensor& qkv, const AttentionSpec& spec) override {
    AttentionSpec biased = spec;
    biased.bias = bias;
    return LossPass::attend(layer, qkv, biased);
  }
  Tensor attend_memory(int, const Tensor& q, const Project& keys_and_values, const AttentionSpec& spec) override {
    return attention(q, keys_and_values(memory), offsets_, memory_offsets, spec);
  }

  Tensor bias, memory, memory_offsets;

 private:
  Tensor offsets_;
};

class Mlp : public Module {
 public:
  explicit Mlp(const std::string& name)
      : norm_(name + ".norm"),
        up_(small_linear(kSmallHidden, {{name + ".up", 2 * kSmallHidden}})),
        down_(small_linear(2 * kSmallHidden, {{name + ".down", kSmallHidden}})) {}
  Tensor operator()(const Tensor& hidden, Pass& pass) const {
    return down_(activate(up_(norm_(hidden), pass), Activation::gelu), pass, &hidden);
  }
  void list(Inventory& inventory) override {
    norm_.list(inventory);
    up_.list(inventory);
    down_.list(inventory);
  }

 private:
  SmallNorm norm_;
  Linear up_, down_;
};

class SelfAttention : public Module {
 public:
  SelfAttention(const std::string& name, bool causal)
      : causal_(causal),
        norm_(name + ".norm"),
        qkv_(small_linear(kSmallHidden,
                          {{name + ".q", kSmallHidden}, {name + ".k", kSmallHidden}, {name + ".v", kSmallHidden}})),
        o_(small_linear(kSmallHidden, {{name + ".o", kSmallHidden}})) {}
  Tensor operator()(int layer, const Tensor& hidden, Pass& pass) const {
    Tensor qkv = qkv_(norm_(hidden), pass);
    qkv = reshape(qkv, {qkv.shape()[0], 3 * kSmallHeads, kHeadDim});
    return o_(pass.attend(layer, qkv, spec_of(causal_)), pass, &hidden);
  }
  void list(Inventory& inventory) override {
    norm_.list(inventory);
    qkv_.list(inventory);
    o_.list(inventory);
  }

 private:
  bool causal_;
  SmallNorm norm_;
  Linear qkv_, o_;
};

class EncoderLayer : public Block {
 public:
  explicit EncoderLayer(int layer)
      : layer_(layer), attention_(text("encoder.", layer), false), mlp_(text("encoder.", layer, ".mlp")) {}
  Tensor forward(const Tensor& hidden, Pass& pass) override { return mlp_(attention_(layer_, hidden, pass), pass); }
  void list(Inventory& inventory) override {
    attention_.list(inventory);
    mlp_.list(inventory);
  }

 private:
  int layer_;
  SelfAttention attention_;
  Mlp mlp_;
};

class DecoderLayer : public Block {
 public:
  explicit DecoderLayer(int layer)
      : layer_(layer),
        attention_(text("decoder.", layer), true),
        norm_(text("decoder.", layer, ".cross.norm")),
        q_(small_linear(kSmallHidden, {{text("decoder.", layer, ".cross.q"), kSmallHidden}})),
        kv_(small_linear(kSmallHidden, {{text("decoder.", layer, ".cross.k"), kSmallHidden},
                                        {text("decoder.", layer, ".cross.v"), kSmallHidden}})),
        o_(small_linear(kSmallHidden, {{text("decoder.", layer, ".cross.o"), kSmallHidden}})),
        mlp_(text("decoder.", layer, ".mlp")) {}
  Tensor forward(const Tensor& hidden, Pass& pass) override {
    Tensor h = attention_(layer_, hidden, pass), q = q_(norm_(h), pass);
    q = reshape(q, {q.shape()[0], kSmallHeads, kHeadDim});
    Tensor seen = pass.attend_memory(
        layer_, q,
        [&](const Tensor& memory) {
          return reshape(kv_(memory, pass), {memory.shape()[0], 2 * kSmallHeads, kHeadDim});
        },
        spec_of(false));
    return mlp_(o_(seen, pass, &h), pass);
  }
  void list(Inventory& inventory) override {
    attention_.list(inventory);
    norm_.list(inventory);
    q_.list(inventory);
    kv_.list(inventory);
    o_.list(inventory);
    mlp_.list(inventory);
  }

 private:
  int layer_;
  SelfAttention attention_;
  SmallNorm norm_;
  Linear q_, kv_, o_;
  Mlp mlp_;
};

enum class Keep { all, block_inputs, products };

const std::vector<int32_t> kSourceOffsets = {0, 5, 12}, kTargetOffsets = {0, 4, 9};

struct T5 {
  explicit T5(Keep keep, DType compute = DType::f32) {
    auto table = small_table();
    auto biases = std::make_unique<PositionBias>();
    bias = biases.get();
    model.encoder.push_back(std::make_unique<SmallEmbedding>(*table));
    for (int layer = 0; layer < 2; ++layer)
      model.encoder.push_back(wrapped(keep, std::make_unique<EncoderLayer>(layer)));
    model.blocks.push_back(std::make_unique<SmallEmbedding>(*table));
    for (int layer = 0; layer < 2; ++layer)
      model.blocks.push_back(wrapped(keep, std::make_unique<DecoderLayer>(layer)));
    model.blocks.push_back(std::make_unique<SmallHead>(*table));
    model.shared.push_back(std::move(table));
    model.shared.push_back(std::move(biases));
    complete_gradients(model);
    inventory = model.inventory();
    make_ready(inventory, compute);
  }

  /// The loss after one step's backward, or of a forward pass alone.
  std::optional<float> step(bool backward) {
    T5Pass encoder(random_tokens(12, kSmallVocabulary, 1), kSourceOffsets, {});
    T5Pass decoder(random_tokens(9, kSmallVocabulary, 2), kTargetOffsets, random_tokens(9, kSmallVocabulary, 3));
    decoder.memory_offsets = tensor_of(kSourceOffsets);
    if (backward)
      for (Parameter* parameter : inventory.parameters) parameter->begin_step();
    Tape tape;
    Tensor loss, one = zeros({1});
    fill(one, 1);
    {
      Recording recording(backward ? &tape : nullptr);
      encoder.bias = decoder.bias = (*bias)();
      for (auto& block : model.encoder) decoder.memory = block->forward(decoder.memory, encoder);
      loss = model.forward(decoder);
    }
    if (!backward) return read_value<float>(loss);
    tape.backward(loss, one);
    for (Parameter* parameter : inventory.parameters) parameter->finish_step();
    return read_value<float>(loss);
  }

  NamedTensors gradients() {
    step(true);
    NamedTensors named;
    put_gradients(inventory, named);
    return named;
  }

  static std::unique_ptr<Block> wrapped(Keep keep, std::unique_ptr<Block> block) {
    if (keep == Keep::block_inputs) return checkpointed(std::move(block));
    return keep == Keep::products ? recomputed(std::move(block)) : std::move(block);
  }

  Model model;
  PositionBias* bias;
  Inventory inventory;
};

TEST(EncoderMemory, HasTheSameGradientsHoweverActivationsAreKept) {
  for (DType compute : {DType::f32, DType::bf16}) {
    Runtime runtime({}, 256 << 20);
    NamedTensors plain = T5(Keep::all, compute).gradients();
    EXPECT_EQ(T5(Keep::block_inputs, compute).gradients(), plain);
    EXPECT_EQ(T5(Keep::products, compute).gradients(), plain);
  }
}

TEST(EncoderMemory, PassesGradientsToTheEncoderAndTheSharedBias) {
  Runtime runtime({}, 256 << 20);
  T5 t5(Keep::block_inputs);
  NamedTensors gradients = t5.gradients();
  for (Parameter* parameter : t5.inventory.parameters) {
    if (!parameter->name().starts_with("bias") && !parameter->name().starts_with("encoder.0")) continue;
    for (int64_t i : {int64_t{1}, parameter->kept.elements() - 1}) {
      float& weight = parameter->kept.data<float>()[i];
      float before = weight, measured = 0, step = 0.005f;
      for (float side : {1.0f, -1.0f}) {
        weight = before + side * step;
        measured += side * t5.step(false).value() / (2 * step);
      }
      weight = before;
      float found = parameter->gradient.data<float>()[i];
      EXPECT_NEAR(found, measured, 0.01f + 0.03f * std::abs(measured)) << parameter->name() << ' ' << i;
    }
  }
  for (float gradient : gradients.at("bias")) EXPECT_GT(std::abs(gradient), 1e-3f);
}

TEST(EncoderMemory, RunsOnTheBytesOfItsMetaRun) {
  int64_t peaks[3] = {};
  for (Keep keep : {Keep::all, Keep::block_inputs, Keep::products})
    peaks[int(keep)] = expect_meta_equals_cpu([keep] { T5(keep).step(true); }).peak;
  EXPECT_LT(peaks[int(Keep::block_inputs)], peaks[int(Keep::all)]);
  EXPECT_LE(peaks[int(Keep::products)], peaks[int(Keep::all)]);
}

TEST(EncoderMemory, IsMissingFromAPassWithoutOne) {
  Runtime runtime({}, 256 << 20);
  WholePass pass({1, 2}, {0, 2});
  EXPECT_THROW(pass.attend_memory(0, pass.tokens(), nullptr, {}), InternalError);
}

}  // namespace
}  // namespace lathe
