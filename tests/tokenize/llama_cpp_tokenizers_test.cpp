// Tokenizers in GGUF files: llama.cpp opens what lathe writes and finds the same tokens, and lathe reads it back.
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "lathe/base/gguf_writer.h"
#include "lathe/tokenize/gguf_metadata.h"
#include "lathe/tokenize/tokenizer.h"
#include "tests/support/checkout.h"
#include "tests/support/program.h"
#include "tests/support/temporary_directory.h"

namespace lathe {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

/// Tokens of each of the texts in a file, with what stands around a text.
constexpr const char* kPeer = R"(
import ctypes, json, sys
import llama_cpp as peer
silent = peer.llama_log_callback(lambda level, text, data: None)
peer.llama_log_set(silent, ctypes.c_void_p(0))
parameters = peer.llama_model_default_params()
parameters.vocab_only = True
model = peer.llama_model_load_from_file(sys.argv[1].encode(), parameters)
assert model, "not opened"
vocabulary, lists = peer.llama_model_get_vocab(model), []
for text in json.load(open(sys.argv[2])):
    raw = text.encode()
    ids = (peer.llama_token * (len(raw) + 16))()
    lists.append(ids[:peer.llama_tokenize(vocabulary, raw, len(raw), ids, len(ids), True, True)])
print(json.dumps(lists))
)";

const std::vector<std::string> kTexts = {"Hello, world!",
                                         "The quick brown fox jumps over the lazy dog.",
                                         "  Two  spaces,\tand a tab ",
                                         "Es war einmal ein König, der hatte zwölf Töchter.",
                                         "Unbelievably antidisestablishmentarian 12345.67 (and so on)...",
                                         "Он сказал: «Да, конечно».",
                                         "C'était l'été à Orléans; naïve façade",
                                         "don't they'll we've"};

/// Writes the tokenizer alone.
void write_vocabulary(const std::string& path, const std::string& architecture, const Tokenizer& tokenizer) {
  GgufMetadata metadata;
  metadata.set_string("general.architecture", architecture);
  add_gguf_tokenizer(tokenizer, tokenizer.vocabulary_size(), metadata);
  write_gguf(path, metadata, {});
}

std::vector<std::vector<TokenId>> tokens_of(const Tokenizer& tokenizer) {
  std::vector<std::vector<TokenId>> all;
  for (const std::string& text : kTexts) all.push_back(tokenizer.encode_with_template(text));
  return all;
}

void expect_the_same_of_both(const Tokenizer& tokenizer, const std::string& architecture) {
  TemporaryDirectory folder;
  const std::string python = (checkout() / "build/llama-cpp/bin/python").string(), file = folder.path("m.gguf");
  write_vocabulary(file, architecture, tokenizer);
  EXPECT_EQ(tokens_of(Tokenizer::load(file)), tokens_of(tokenizer)) << "read back";
  if (!fs::exists(python)) GTEST_SKIP() << python << " is not there; script/setup --llama-cpp makes it";
  ProgramResult result = run_program({python, "-c", kPeer, file, folder.file("texts", json(kTexts).dump())});
  ASSERT_EQ(result.status, 0) << result.errors;
  EXPECT_EQ(json::parse(result.output).get<std::vector<std::vector<TokenId>>>(), tokens_of(tokenizer));
}

TEST(SlowLlamaCppTokenizers, KnowWordPiece) {
  const std::string model = (checkout() / "build/models/all-MiniLM-L6-v2").string();
  if (!fs::exists(model)) GTEST_SKIP() << model << " is not there; script/setup --models fetches it";
  expect_the_same_of_both(Tokenizer::load(model), "bert");
}

TEST(SlowLlamaCppTokenizers, KnowUnigram) {
  const std::string file = shared_data("tokenizers/hf_json/t5-small.tokenizer.json");
  if (file.empty()) GTEST_SKIP() << no_shared_data("tokenizers/hf_json/t5-small.tokenizer.json");
  expect_the_same_of_both(Tokenizer::load(file), "t5");
}

TEST(SlowLlamaCppTokenizers, KnowRobertaWithItsEnds) {
  const std::string gpt2 = shared_data("tokenizers/gpt2");
  if (gpt2.empty()) GTEST_SKIP() << no_shared_data("tokenizers/gpt2");
  TemporaryDirectory folder;
  for (const char* name : {"vocab.json", "merges.txt"}) fs::copy_file(fs::path(gpt2) / name, folder.path(name));
  const std::string end = "<|endoftext|>";
  const json names = {{"tokenizer_class", "RobertaTokenizer"},
                      {"bos_token", end},
                      {"eos_token", end},
                      {"cls_token", end},
                      {"sep_token", end}};
  folder.file("tokenizer_config.json", names.dump());
  const Tokenizer tokenizer = Tokenizer::load(folder.path());
  expect_the_same_of_both(tokenizer, "bert");
  const std::string file = folder.path("m.gguf");
  write_vocabulary(file, "bert", tokenizer);
  EXPECT_EQ(Tokenizer::load(file).encode_pair("a b", "c").ids, tokenizer.encode_pair("a b", "c").ids);
}

TEST(SlowLlamaCppTokenizers, KnowByteFallback) {
  const std::string file = shared_data("tokenizers/ggml_vocab/ggml-vocab-phi-3.gguf");
  if (file.empty()) GTEST_SKIP() << no_shared_data("tokenizers/ggml_vocab/ggml-vocab-phi-3.gguf");
  expect_the_same_of_both(Tokenizer::load(file), "llama");
}

}  // namespace
}  // namespace lathe
