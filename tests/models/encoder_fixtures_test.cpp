// Encoders against what transformers makes of the same weights: tests/models/make_encoder_fixtures.py.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "lathe/base/json.h"
#include "lathe/base/threads.h"
#include "lathe/files/gguf_model.h"
#include "lathe/files/model_config.h"
#include "lathe/files/tensor_files.h"
#include "lathe/infer/encoding_pass.h"
#include "lathe/infer/text_reader.h"
#include "lathe/models/global_tokens.h"
#include "lathe/nn/completion.h"
#include "lathe/nn/loss.h"
#include "lathe/tensor/sum.h"
#include "lathe/tensor/tape.h"
#include "lathe/tensor/transfer.h"
#include "tests/support/checkout.h"
#include "tests/support/run_counts.h"
#include "tests/support/temporary_directory.h"
#include "tests/support/training_step.h"

namespace lathe {
namespace {

using nlohmann::json;

/// Ends in the mean loss of `targets`, of the rows that are asked about or of whole sequences.
class EncodingLoss : public EncodingPass {
 public:
  EncodingLoss(const EncodingLimits& limits, const std::vector<int32_t>& targets)
      : EncodingPass(limits), targets_(tensor_of(targets)), scale_(zeros({1})) {
    fill(scale_, 1 / float(targets.size()));
  }
  Tensor finish(const Tensor& hidden, const Project& head) override { return loss(rows(hidden), head); }
  Tensor finish_sequences(const Tensor& rows, const Project& head) override { return loss(rows, head); }

 private:
  Tensor targets_, scale_;
  Tensor loss(const Tensor& rows, const Project& head) {
    return chunked_cross_entropy(rows, head, targets_, scale_, 3);
  }
};

template <class T>
std::vector<T> joined(const json& lists) {
  std::vector<T> all;
  for (const json& list : lists) {
    auto some = list.get<std::vector<T>>();
    all.insert(all.end(), some.begin(), some.end());
  }
  return all;
}

class Fixture {
 public:
  explicit Fixture(const std::string& kind)
      : directory_((checkout() / "tests/models/encoder_fixtures" / kind).string()),
        expected(read_json(directory_ + "/expected.json")),
        config(read_model_config(directory_)) {
    for (size_t i = 0; i < expected["sequences"].size(); ++i) {
      tokens_.push_back(expected["sequences"][i].get<std::vector<uint32_t>>());
      types_.push_back(expected["types"][i].get<std::vector<int32_t>>());
      masked_.push_back(expected["masked"][i].get<std::vector<int32_t>>());
    }
    if (config.type_vocab_size < 2) types_.assign(types_.size(), {});
  }

  EncodingLimits limits(const std::string& head) const {
    int64_t globals = most_global_tokens(config_of(head), 4, 64);
    return {.tokens = 64, .sequences = 4, .rows = 8, .globals = globals};
  }
  size_t texts() const { return tokens_.size(); }
  std::vector<int32_t> targets(const std::string& head) const {
    return head == "masked_lm" ? joined<int32_t>(expected["targets"]) : expected["labels"].get<std::vector<int32_t>>();
  }

  /// The model with the head of `task`, and its tensors.
  std::unique_ptr<Model> model(const std::string& head, DType compute, bool trained) {
    auto model = make_model(config_of(head));
    complete_gradients(*model);
    Inventory inventory = model->inventory();
    for (Parameter* parameter : inventory.parameters)
      trained ? parameter->materialize_trained(compute) : parameter->materialize(compute);
    load_tensors(inventory, TensorFiles(directory_), family_named(config.model_type).tensor_prefix);
    return model;
  }

  void load(EncodingPass& pass, const std::string& head, size_t first, size_t count) const {
    std::vector<WholeText> texts;
    for (size_t i = first; i < first + count; ++i)
      texts.push_back({tokens_[i], types_[i], head == "masked_lm" ? std::span(masked_[i]) : std::span<const int32_t>(),
                       global_tokens(config_of(head), tokens_[i])});
    pass.load(texts);
  }
  void load(EncodingPass& pass, const std::string& head) const { load(pass, head, 0, texts()); }

  const std::string& directory() const { return directory_; }
  const std::vector<std::vector<uint32_t>>& tokens() const { return tokens_; }

  ModelConfig config_of(const std::string& head) const {
    ModelConfig asked = config;
    asked.architecture = expected["heads"][head]["architecture"].get<std::string>();
    return asked;
  }

 private:
  std::string directory_;
  std::vector<std::vector<uint32_t>> tokens_;
  std::vector<std::vector<int32_t>> types_, masked_;

 public:
  json expected;
  ModelConfig config;
};

double difference(const std::vector<float>& found, const std::vector<float>& expected) {
  if (found.size() != expected.size()) return INFINITY;
  double most = 0, largest = 0;
  for (size_t i = 0; i < expected.size(); ++i) {
    largest = std::max(largest, std::abs(double(expected[i])));
    most = std::max(most, std::abs(double(found[i]) - double(expected[i])));
  }
  return most / largest;
}

class EncoderFixtures : public testing::TestWithParam<const char*> {
 protected:
  EncoderFixtures() { set_threads(1); }  // at this size, threads would wait for each other longer than they work
  Runtime runtime{{}, 64 << 20};
};
INSTANTIATE_TEST_SUITE_P(Families, EncoderFixtures, testing::Values("bert", "roberta", "distilbert", "longformer"),
                         [](const auto& kind) { return std::string(kind.param); });

TEST_P(EncoderFixtures, HaveTheLogitsOfTransformers) {
  Fixture fixture(GetParam());
  for (const auto& [head, expected] : fixture.expected["heads"].items()) {
    auto logits = expected["logits"].get<std::vector<float>>();
    for (DType compute : {DType::f32, DType::bf16}) {
      auto model = fixture.model(head, compute, false);
      EncodingPass pass(fixture.limits(head));
      fixture.load(pass, head);
      double found = difference(values_of(model->forward(pass)), logits);
      EXPECT_LT(found, compute == DType::f32 ? 2e-6 : 0.04) << head << ' ' << name_of(compute);
    }
  }
}

TEST_P(EncoderFixtures, HaveTheGradientsOfTransformers) {
  Fixture fixture(GetParam());
  for (const char* head : {"masked_lm", "sequence_labels"}) {
    const json& expected = fixture.expected["heads"][head];
    auto model = fixture.model(head, DType::f32, true);
    Inventory inventory = model->inventory();
    EncodingLoss pass(fixture.limits(head), fixture.targets(head));
    fixture.load(pass, head);
    EXPECT_NEAR(run_step(*model, inventory, pass).value(), expected["loss"].get<float>(), 1e-5f);
    NamedTensors gradients;
    put_gradients(inventory, gradients);
    for (const auto& [name, values] : gradients) {
      ASSERT_TRUE(expected["gradients"].contains(name)) << name;
      double squares = 0, wave = 0;
      for (size_t i = 0; i < values.size(); ++i) {
        squares += double(values[i]) * double(values[i]);
        wave += double(values[i]) * std::cos(0.7 * double(i) + 1);
      }
      auto check = expected["gradients"][name].get<std::vector<double>>();
      double most = 1e-4 * check[0] + 1e-7;  // a key's bias has none but rounding
      EXPECT_NEAR(std::sqrt(squares), check[0], most) << head << ' ' << name;
      EXPECT_NEAR(wave, check[1], most) << head << ' ' << name;
    }
  }
}

TEST_P(EncoderFixtures, GiveATextTheSameWhateverIsReadBesideIt) {
  Fixture fixture(GetParam());
  for (const char* head : {"hidden", "spans"}) {
    auto model = fixture.model(head, DType::f32, false);
    EncodingPass pass(fixture.limits(head));
    std::vector<float> alone;
    for (size_t i = 0; i < fixture.texts(); ++i) {
      fixture.load(pass, head, i, 1);
      std::vector<float> rows = values_of(model->forward(pass));
      alone.insert(alone.end(), rows.begin(), rows.end());
    }
    fixture.load(pass, head);
    EXPECT_LT(difference(values_of(model->forward(pass)), alone), 1e-6) << head;
  }
}

TEST_P(EncoderFixtures, RunOnTheBytesOfTheirMetaRun) {
  Fixture fixture(GetParam());
  for (const char* head : {"masked_lm", "sequence_labels"})
    for (DType compute : {DType::f32, DType::bf16})
      expect_meta_equals_cpu([&] {
        auto model = fixture.model(head, compute, true);
        EncodingLoss pass(fixture.limits(head), fixture.targets(head));
        fixture.load(pass, head);
        run_step(*model, model->inventory(), pass);
      });
}

TEST_P(EncoderFixtures, KeepTheirConfigWhenWritten) {
  Fixture fixture(GetParam());
  json written = json::parse(model_config_json(fixture.config, DType::f32));
  for (const char* field : {"id2label", "label2id", "max_position_embeddings", "architectures", "pad_token_id",
                            "sep_token_id", "attention_window"})
    EXPECT_EQ(written[field],
              read_json((checkout() / "tests/models/encoder_fixtures" / GetParam() / "config.json").string())[field])
        << field;
}

/// What a TextReader, which finds the global tokens itself, makes of all texts.
std::vector<float> read_texts(const Fixture& fixture, const std::string& directory, const ModelConfig& config) {
  std::vector<float> found;
  TextReader reader(TensorFiles(directory), config,
                    {.limits = {.sequences = 4}, .device = {}, .compute = DType::f32, .memory = 64 << 20},
                    [&](const Tensor& rows, const Packed&) {
                      if (!rows.is_meta()) found = values_of(rows);
                    });
  std::vector<WholeText> texts;
  for (const std::vector<uint32_t>& tokens : fixture.tokens()) texts.push_back({tokens, {}, {}});
  reader.read(texts);
  return found;
}
std::vector<float> read_texts(const Fixture& fixture, const std::string& head) {
  return read_texts(fixture, fixture.directory(), fixture.config_of(head));
}

class EncodersInGguf : public EncoderFixtures {};
INSTANTIATE_TEST_SUITE_P(Families, EncodersInGguf, testing::Values("bert", "roberta", "distilbert"),
                         [](const auto& kind) { return std::string(kind.param); });

TEST_P(EncodersInGguf, ComeBackWithTheirRowsAndTheirConfig) {
  Fixture fixture(GetParam());
  const ModelConfig config = fixture.config_of("hidden");
  TemporaryDirectory folder;
  const std::string file = folder.path("m.gguf");
  GgufMetadata metadata = gguf_metadata(config, GgmlType::f32);
  metadata.set_string("tokenizer.ggml.model", config.model_type == "roberta" ? "gpt2" : "bert");
  write_gguf(file, metadata, gguf_sources(TensorFiles(fixture.directory()), config, GgmlType::f32));
  const ModelConfig again = read_model_config(file);
  EXPECT_EQ(again.model_type, config.model_type);
  EXPECT_EQ(again.architecture, config.architecture);
  EXPECT_EQ(again.max_position_embeddings, config.max_position_embeddings);
  EXPECT_EQ(again.pad_token_id, config.pad_token_id);
  EXPECT_EQ(read_texts(fixture, file, again), read_texts(fixture, "hidden"));
  const TensorFiles files(file);
  const std::string copy = folder.path("again.gguf");
  write_gguf(copy, metadata, gguf_sources(files, again, GgmlType::f32));
  EXPECT_EQ(content_of(copy), content_of(file)) << "from one file to another";
  save_tensors(folder.path(), safetensors_sources(files, again, DType::f32), int64_t{1} << 30);
  EXPECT_EQ(read_texts(fixture, folder.path(), again), read_texts(fixture, "hidden")) << "as a directory";
}

TEST(LongformerTexts, HaveGlobalTokensByTheirHead) {
  set_threads(1);
  Fixture fixture("longformer");
  for (const char* head : {"hidden", "sequence_labels", "token_labels", "spans"}) {
    auto expected = fixture.expected["heads"][head]["logits"].get<std::vector<float>>();
    EXPECT_LT(difference(read_texts(fixture, head), expected), 2e-6) << head;
  }
}

TEST(LongformerTexts, WithoutAQuestionAreRefusedWhereOneIsAnswered) {
  Fixture fixture("longformer");
  ModelConfig config = fixture.config_of("spans");
  for (std::vector<uint32_t> tokens : {std::vector<uint32_t>{0, 7, 8}, std::vector<uint32_t>{2, 7, 2}})
    EXPECT_THAT([&] { global_tokens(config, tokens); },
                testing::ThrowsMessage<Error>(testing::HasSubstr("no question before its first separator, token 2")));
}

}  // namespace
}  // namespace lathe
