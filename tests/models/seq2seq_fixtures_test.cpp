// Encoder-decoders against what transformers makes of the same weights: tests/models/make_seq2seq_fixtures.py.
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "lathe/base/json.h"
#include "lathe/base/threads.h"
#include "lathe/files/load_model.h"
#include "lathe/files/model_config.h"
#include "lathe/infer/beam_search.h"
#include "lathe/infer/encoding_pass.h"
#include "lathe/nn/completion.h"
#include "lathe/nn/loss.h"
#include "lathe/tensor/sum.h"
#include "lathe/tensor/tape.h"
#include "lathe/tensor/transfer.h"
#include "tests/support/checkout.h"
#include "tests/support/run_counts.h"
#include "tests/support/training_step.h"

namespace lathe {
namespace {

using nlohmann::json;
using Lists = std::vector<std::vector<uint32_t>>;

/// A decoder's pass that ends in the mean loss of all its rows, or of its whole texts.
class TargetLoss : public EncodingPass {
 public:
  TargetLoss(const EncodingLimits& limits, const std::vector<int32_t>& targets)
      : EncodingPass(limits), targets_(tensor_of(targets)), scale_(zeros({1})) {
    fill(scale_, 1 / float(targets.size()));
  }
  Tensor finish(const Tensor& hidden, const Project& head) override {
    return chunked_cross_entropy(rows(hidden), head, targets_, scale_, 5);
  }
  Tensor finish_sequences(const Tensor& rows, const Project& head) override {
    return chunked_cross_entropy(rows, head, targets_, scale_, 5);
  }

 private:
  Tensor targets_, scale_;
};

constexpr EncodingLimits kRoom = {.tokens = 64, .sequences = 2};

void load(EncodingPass& pass, const Lists& lists) {
  std::vector<WholeText> texts;
  for (const auto& list : lists) texts.push_back({list, {}, {}});
  pass.load(texts);
}

class Seq2SeqFixtures : public testing::TestWithParam<const char*> {
 protected:
  Seq2SeqFixtures()
      : directory_((checkout() / "tests/models/encoder_fixtures" / GetParam()).string()),
        expected_(read_json(directory_ + "/expected.json")),
        config_(read_model_config(directory_)),
        sources_(expected_["sources"].get<Lists>()),
        begun_(expected_["targets"].get<Lists>()) {
    set_threads(1);  // at this size, threads would wait for each other longer than they work
    for (auto& target : begun_) {
      targets_.insert(targets_.end(), target.begin(), target.end());
      shift(target);
    }
  }

  /// What the decoder reads to write `target`.
  void shift(std::vector<uint32_t>& target) const {
    target.insert(target.begin(), uint32_t(config_.decoder_start_token_id));
    target.pop_back();
  }

  std::unique_ptr<Model> model(DType compute, bool trained, const std::string& architecture = "") const {
    ModelConfig asked = config_;
    if (!architecture.empty()) asked.architecture = architecture;
    auto model = make_model(asked);
    complete_gradients(*model);
    Inventory inventory = model->inventory();
    for (Parameter* parameter : inventory.parameters)
      trained ? parameter->materialize_trained(compute) : parameter->materialize(compute);
    load_tensors(inventory, TensorFiles(directory_), family_named(config_.model_type).tensor_prefix);
    return model;
  }

  /// Encoder and decoder in turn: the decoder's result.
  Tensor forward(Model& model, EncodingPass& encoder, EncodingPass& decoder) const {
    load(encoder, sources_);
    load(decoder, begun_);
    decoder.set_memory(through(model.encoder, encoder), encoder.sequences());
    return model.forward(decoder);
  }

  std::optional<float> step(Model& model) const {
    EncodingPass encoder(kRoom);
    TargetLoss decoder(kRoom, targets_);
    Inventory inventory = model.inventory();
    for (Parameter* parameter : inventory.parameters) parameter->begin_step();
    Tape tape;
    Tensor loss, one = zeros({1});
    fill(one, 1);
    {
      Recording recording(&tape);
      loss = forward(model, encoder, decoder);
    }
    decoder.set_memory(Tensor(), {});
    tape.backward(loss, one);
    for (Parameter* parameter : inventory.parameters) parameter->finish_step();
    return read_value<float>(loss);
  }

  static void expect_gradients(Model& model, const json& expected) {
    NamedTensors gradients;
    put_gradients(model.inventory(), gradients);
    gradients.erase("final_logits_bias");  // a buffer there, never trained
    ASSERT_EQ(gradients.size(), expected.size());
    for (const auto& [name, values] : gradients) {
      double squares = 0, wave = 0;
      for (size_t i = 0; i < values.size(); ++i) {
        squares += double(values[i]) * double(values[i]);
        wave += double(values[i]) * std::cos(0.7 * double(i) + 1);
      }
      auto check = expected.at(name).get<std::vector<double>>();
      double most = 1e-4 * check[0] + 1e-6;
      EXPECT_NEAR(std::sqrt(squares), check[0], most) << name;
      EXPECT_NEAR(wave, check[1], most) << name;
    }
  }

  static void expect_near(const std::vector<float>& found, const std::vector<float>& expected, double tolerance,
                          const std::string& what) {
    ASSERT_EQ(found.size(), expected.size()) << what;
    double most = 0, largest = 0;
    for (size_t i = 0; i < found.size(); ++i) {
      most = std::max(most, std::abs(double(found[i]) - double(expected[i])));
      largest = std::max(largest, std::abs(double(expected[i])));
    }
    EXPECT_LT(most / largest, tolerance) << what;
  }

  DecoderLimits limits(int64_t sequences) const {
    int64_t length = 1 + expected_["new_tokens"].get<int64_t>();
    return {.sequences = sequences,
            .length = length,
            .step_tokens = sequences,
            .sources = 1,
            .source_length = 30,
            .step_source_tokens = 30};
  }

  BeamOptions options(int64_t beams) const {
    return {.beams = beams,
            .max_new_tokens = expected_["new_tokens"].get<int64_t>(),
            .forced_bos_token_id = expected_.value("forced_bos_token_id", int64_t{-1}),
            .forced_eos_token_id = expected_.value("forced_eos_token_id", int64_t{-1})};
  }

  std::string directory_;
  json expected_;
  ModelConfig config_;
  Lists sources_, begun_;
  std::vector<int32_t> targets_;
};
INSTANTIATE_TEST_SUITE_P(Families, Seq2SeqFixtures, testing::Values("t5", "flan_t5", "bart", "bart_forced"),
                         [](const auto& kind) { return std::string(kind.param); });

TEST_P(Seq2SeqFixtures, HaveTheLogitsOfTransformers) {
  Runtime runtime({}, 64 << 20);
  auto expected = expected_["logits"].get<std::vector<float>>();
  for (DType compute : {DType::f32, DType::bf16}) {
    auto model = this->model(compute, false);
    EncodingPass encoder(kRoom), decoder(kRoom);
    expect_near(values_of(forward(*model, encoder, decoder)), expected, compute == DType::f32 ? 1e-5 : 0.06,
                name_of(compute));
  }
}

/// Heads that read the source twice: whole, and, shifted by one token, as the decoder's text.
class BartHeads : public Seq2SeqFixtures {
 protected:
  BartHeads() {
    begun_ = sources_;
    for (auto& text : begun_) shift(text);
    targets_ = expected_["heads"]["sequence_labels"]["labels"].get<std::vector<int32_t>>();
  }
};
INSTANTIATE_TEST_SUITE_P(Families, BartHeads, testing::Values("bart"),
                         [](const auto& kind) { return std::string(kind.param); });

TEST_P(BartHeads, HaveTheLogitsOfTransformers) {
  Runtime runtime({}, 64 << 20);
  for (const auto& [head, expected] : expected_["heads"].items()) {
    auto model = this->model(DType::f32, false, expected["architecture"].get<std::string>());
    EncodingPass encoder(kRoom), decoder(kRoom);
    expect_near(values_of(forward(*model, encoder, decoder)), expected["logits"].get<std::vector<float>>(), 1e-5, head);
  }
}

TEST_P(BartHeads, HaveTheGradientsOfTransformers) {
  Runtime runtime({}, 64 << 20);
  const json& expected = expected_["heads"]["sequence_labels"];
  auto model = this->model(DType::f32, true, expected["architecture"].get<std::string>());
  EXPECT_NEAR(step(*model).value(), expected["loss"].get<float>(), 1e-5f);
  expect_gradients(*model, expected["gradients"]);
}

TEST_P(Seq2SeqFixtures, HaveTheGradientsOfTransformers) {
  Runtime runtime({}, 64 << 20);
  auto model = this->model(DType::f32, true);
  EXPECT_NEAR(step(*model).value(), expected_["loss"].get<float>(), 1e-5f);
  expect_gradients(*model, expected_["gradients"]);
}

TEST_P(Seq2SeqFixtures, RunOnTheBytesOfTheirMetaRun) {
  for (DType compute : {DType::f32, DType::bf16})
    expect_meta_equals_cpu([&] {
      auto model = this->model(compute, true);
      step(*model);
    });
}

TEST_P(Seq2SeqFixtures, WriteTheLikeliestTextsOfTransformers) {
  Runtime runtime({}, 64 << 20);
  auto model = load_model(TensorFiles(directory_), config_, DType::f32);
  Decoder decoder(*model, config_, DType::f32, limits(1));
  BeamOptions greedy = options(1);
  greedy.early_stopping = EarlyStopping::yes;
  BeamSearch search(decoder, config_.vocab_size, {2}, greedy);
  std::vector<uint32_t> start = {uint32_t(config_.decoder_start_token_id)};
  for (size_t i = 0; i < sources_.size(); ++i)
    EXPECT_EQ(search.run(sources_[i], start).front().tokens, expected_["greedy"][i].get<std::vector<uint32_t>>());
}

TEST_P(Seq2SeqFixtures, FindWhatTheBeamSearchOfTransformersFinds) {
  Runtime runtime({}, 64 << 20);
  auto model = load_model(TensorFiles(directory_), config_, DType::f32);
  Decoder decoder(*model, config_, DType::f32, limits(4));
  std::vector<uint32_t> start = {uint32_t(config_.decoder_start_token_id)};
  for (const json& asked : expected_["searches"]) {
    BeamOptions o = options(asked["num_beams"].get<int64_t>());
    o.length_penalty = asked.value("length_penalty", 1.0);
    o.no_repeat_ngram_size = asked.value("no_repeat_ngram_size", int64_t{0});
    o.repetition_penalty = asked.value("repetition_penalty", 1.0);
    if (asked.contains("early_stopping"))
      o.early_stopping = asked["early_stopping"] == "never" ? EarlyStopping::never : EarlyStopping::yes;
    BeamSearch search(decoder, config_.vocab_size, {2}, o);
    BeamResult best = search.run(sources_[asked["source"].get<size_t>()], start).front();
    EXPECT_EQ(best.tokens, asked["tokens"].get<std::vector<uint32_t>>()) << asked;
    EXPECT_NEAR(best.score, asked["score"].get<float>(), 1e-4f * std::abs(best.score)) << asked;
  }
}

TEST_P(Seq2SeqFixtures, WriteOnThePlanOfTheirMetaRun) {
  DecoderLimits room = limits(3);
  InferencePlan plan = plan_inference(config_, DType::bf16, room);
  Runtime runtime({}, plan.capacity);
  auto model = load_model(TensorFiles(directory_), config_, DType::bf16);
  Decoder decoder(*model, config_, DType::bf16, room);
  BeamSearch search(decoder, config_.vocab_size, {}, options(3));
  std::vector<uint32_t> start = {uint32_t(config_.decoder_start_token_id)};
  auto found = search.run(sources_[0], start, [&](bool starts, const std::function<void()>& step) {
    replay(starts ? plan.start.placement : plan.step.placement, step);
  });
  EXPECT_EQ(found.front().tokens.size(), expected_["new_tokens"].get<size_t>());
}

}  // namespace
}  // namespace lathe
