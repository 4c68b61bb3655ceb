// llama.cpp opens the GGUF files that lathe writes, and computes the same: fixtures of all families that both have.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "lathe/base/json.h"
#include "lathe/base/threads.h"
#include "lathe/files/gguf_model.h"
#include "lathe/files/model_config.h"
#include "lathe/infer/encoding_pass.h"
#include "lathe/models/task.h"
#include "tests/models/fixture_support.h"
#include "tests/support/checkout.h"
#include "tests/support/program.h"
#include "tests/support/temporary_directory.h"
#include "tests/support/whole_pass.h"

namespace lathe {
namespace {

namespace fs = std::filesystem;
using test::Fixture;

/// Of each argument FILE READING TOKENS [TARGETS]: logits of all tokens, or an encoder's rows, in f32, to FILE.out.
constexpr const char* kPeer = R"(
import ctypes, json, sys
import llama_cpp as peer, numpy
silent = peer.llama_log_callback(lambda level, text, data: None)
peer.llama_log_set(silent, ctypes.c_void_p(0))

def batch_of(tokens):
    batch = peer.llama_batch_init(len(tokens), 0, 1)
    batch.n_tokens = len(tokens)
    for i, token in enumerate(tokens):
        batch.token[i], batch.pos[i], batch.n_seq_id[i], batch.seq_id[i][0], batch.logits[i] = token, i, 1, 0, 1
    return batch

path, reading, tokens, targets = sys.argv[1], sys.argv[2], json.loads(sys.argv[3]), json.loads(sys.argv[4])
model = peer.llama_model_load_from_file(path.encode(), peer.llama_model_default_params())
assert model, path
parameters = peer.llama_context_default_params()
parameters.n_ctx, parameters.n_threads, parameters.type_k, parameters.type_v = 32, 1, 0, 0
parameters.flash_attn_type = 0
if reading == "encoder":
    parameters.embeddings, parameters.pooling_type = True, 0
context = peer.llama_init_from_model(model, parameters)
if reading != "decoder":
    assert peer.llama_encode(context, batch_of(tokens)) == 0
if reading != "encoder":
    shown = targets if targets else tokens
    assert peer.llama_decode(context, batch_of(shown)) == 0
    rows = [peer.llama_get_logits_ith(context, i)[:peer.llama_vocab_n_tokens(peer.llama_model_get_vocab(model))]
            for i in range(len(shown))]
else:
    rows = [peer.llama_get_embeddings_ith(context, i)[:peer.llama_model_n_embd(model)] for i in range(len(tokens))]
numpy.array(rows, "<f4").tofile(path + ".out")
)";

/// A fixture in a GGUF file.
class SlowLlamaCpp : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    if (!fs::exists(python())) GTEST_SKIP() << python() << " is not there; script/setup --llama-cpp makes it";
    set_threads(1);
  }
  static std::string python() { return (checkout() / "build/llama-cpp/bin/python").string(); }

  void write(const ModelConfig& config, const std::string& weights) const {
    GgufMetadata metadata = gguf_metadata(config, GgmlType::f32);
    metadata.set_string("tokenizer.ggml.model", "no_vocab");
    metadata.set_u32(metadata_key(config, "vocab_size"), config.vocab_size);
    write_gguf(file_, metadata, gguf_sources(TensorFiles(weights), config, GgmlType::f32));
  }
  static std::string metadata_key(const ModelConfig& config, const std::string& name) {
    return family_named(config.model_type).gguf->architecture + "." + name;
  }

  std::vector<float> theirs(const char* reading, const std::vector<int32_t>& tokens,
                            const std::vector<int32_t>& targets = {}) const {
    ProgramResult result = run_program(
        {python(), "-c", kPeer, file_, reading, nlohmann::json(tokens).dump(), nlohmann::json(targets).dump()});
    require(result.status == 0, "llama.cpp's Python ended with status ", result.status, ":\n", result.errors);
    std::string bytes = content_of(file_ + ".out");
    std::vector<float> numbers(bytes.size() / sizeof(float));
    std::memcpy(numbers.data(), bytes.data(), bytes.size());
    return numbers;
  }

  std::unique_ptr<Model> model() const {
    ModelConfig config = read_model_config(file_);
    std::unique_ptr<Model> model = ready_model(config);
    load_tensors(model->inventory(), TensorFiles(file_), family_named(config.model_type).tensor_prefix);
    return model;
  }

  TemporaryDirectory folder_;
  std::string file_ = folder_.path("m.gguf");
  Runtime runtime_{{}, 1 << 24};
};

class SlowLlamaCppDecoders : public SlowLlamaCpp {};
INSTANTIATE_TEST_SUITE_P(Kinds, SlowLlamaCppDecoders,
                         testing::Values("gpt2", "gpt_neox", "gpt_neox_sequential", "bloom", "falcon", "falcon_new",
                                         "llama", "llama_linear", "llama_llama3", "llama_yarn", "mixtral", "qwen2",
                                         "qwen3", "gemma", "gemma2", "gemma3_text", "phi3"),
                         [](const auto& kind) { return std::string(kind.param); });

TEST_P(SlowLlamaCppDecoders, ComputeTheSameLogits) {
  Fixture fixture = test::holdable_in_gguf(GetParam());
  write(fixture.config, fixture.weights);
  std::vector<int32_t> tokens = fixture.sequences.back();
  // llama.cpp sees no window in phi3 files, and takes the factors for long texts where there is room for one.
  if (fixture.config.model_type == "phi3") tokens.resize(size_t(fixture.config.sliding_window));
  WholePass pass(tokens, {0, int32_t(tokens.size())});
  EXPECT_LE(test::difference(values_of(model()->forward(pass)), theirs("decoder", tokens)), 2e-3);
}

/// Tokens of an encoder's fixture.
std::vector<int32_t> tokens_of(const nlohmann::json& expected, const char* field) {
  return expected[field][0].get<std::vector<int32_t>>();
}

std::vector<uint32_t> unsigned_of(const std::vector<int32_t>& tokens) { return {tokens.begin(), tokens.end()}; }

void load(EncodingPass& pass, const std::vector<uint32_t>& tokens) {
  WholeText text{tokens, {}, {}};
  pass.load({&text, 1});
}

class SlowLlamaCppEncoders : public SlowLlamaCpp {
 protected:
  std::string directory_ = (checkout() / "tests/models/encoder_fixtures" / GetParam()).string();
  nlohmann::json expected_ = read_json(directory_ + "/expected.json");
  ModelConfig config_ = read_model_config(directory_);
};
INSTANTIATE_TEST_SUITE_P(Kinds, SlowLlamaCppEncoders, testing::Values("bert", "roberta", "distilbert"));

TEST_P(SlowLlamaCppEncoders, ComputeTheSameRows) {
  const std::string whole = architecture_of(config_);  // "RobertaForMaskedLM"
  config_.architecture = whole.substr(0, whole.find("For")) + "Model";
  write(config_, directory_);
  std::vector<int32_t> tokens = tokens_of(expected_, "sequences");
  std::vector<uint32_t> ids = unsigned_of(tokens);
  EncodingPass pass({.tokens = 64, .sequences = 1});
  load(pass, ids);
  EXPECT_LE(test::difference(values_of(model()->forward(pass)), theirs("encoder", tokens)), 2e-3);
}

class SlowLlamaCppWriters : public SlowLlamaCppEncoders {};
INSTANTIATE_TEST_SUITE_P(Kinds, SlowLlamaCppWriters, testing::Values("t5", "flan_t5"),
                         [](const auto& kind) { return std::string(kind.param); });

TEST_P(SlowLlamaCppWriters, ComputeTheSameLogits) {
  config_.relative_attention_max_distance = 128;
  write(config_, directory_);
  std::vector<int32_t> source = tokens_of(expected_, "sources"), target = tokens_of(expected_, "targets");
  std::vector<uint32_t> source_ids = unsigned_of(source), target_ids = unsigned_of(target);
  std::unique_ptr<Model> ours = model();
  EncodingPass encoder({.tokens = 64, .sequences = 1}), decoder({.tokens = 64, .sequences = 1});
  load(encoder, source_ids);
  load(decoder, target_ids);
  decoder.set_memory(through(ours->encoder, encoder), encoder.sequences());
  std::vector<float> logits = theirs("both", source, target);
  if (config_.scale_decoder_outputs)  // which llama.cpp does not
    for (float& logit : logits) logit /= std::sqrt(float(config_.hidden_size));
  EXPECT_LE(test::difference(values_of(ours->forward(decoder)), logits), 2e-3);
}

}  // namespace
}  // namespace lathe
