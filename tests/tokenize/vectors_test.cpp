// Texts with the ids that other programs gave them, for vocabularies in each of the formats they are published in.
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "lathe/base/text_input.h"
#include "lathe/tokenize/tokenizer.h"
#include "tests/support/checkout.h"

namespace lathe {
namespace {

/// Texts of an .inp file, each ended by a line of its own.
std::vector<std::string> vector_texts(const std::string& path) {
  const std::string all = read_text(path), mark = "\n__ggml_vocab_test__\n";
  std::vector<std::string> texts;
  for (size_t at = 0; at < all.size();) {
    const size_t end = all.find(mark, at);
    if (end == std::string::npos) break;
    texts.push_back(all.substr(at, end - at));
    at = end + mark.size();
  }
  return texts;
}

std::vector<std::vector<TokenId>> vector_ids(const std::string& path) {
  std::ifstream in(path);
  std::vector<std::vector<TokenId>> all;
  for (std::string line; std::getline(in, line);) {
    std::istringstream numbers(line);
    std::vector<TokenId> ids;
    for (TokenId id; numbers >> id;) ids.push_back(id);
    all.push_back(ids);
  }
  return all;
}

/// Compares with the vectors of llama.cpp's vocabulary `name`; decoded texts too where nothing is lost.
void check_vectors(const Tokenizer& tokenizer, const std::string& name, bool decodes) {
  const std::string base = shared_data("tokenizers/ggml_vocab") + "/ggml-vocab-" + name + ".gguf";
  const auto texts = vector_texts(base + ".inp");
  const auto ids = vector_ids(base + ".out");
  ASSERT_EQ(texts.size(), ids.size());
  ASSERT_GE(texts.size(), 40u);
  for (size_t i = 0; i < texts.size(); ++i) {
    EXPECT_EQ(tokenizer.encode(texts[i]), ids[i]) << '"' << texts[i] << '"';
    if (decodes) {
      EXPECT_EQ(tokenizer.decode(ids[i]), texts[i]);
    }
  }
}

struct VectorCase {
  const char* file;
  const char* vectors;
  bool decodes;
};

class TokenizerVectors : public testing::TestWithParam<VectorCase> {};

TEST_P(TokenizerVectors, HoldForTheFile) {
  const std::string path = shared_data(GetParam().file);
  if (path.empty()) GTEST_SKIP() << no_shared_data(GetParam().file);
  check_vectors(Tokenizer::load(path), GetParam().vectors, GetParam().decodes);
}

INSTANTIATE_TEST_SUITE_P(
    Formats, TokenizerVectors,
    testing::Values(VectorCase{"models/gpt2_tiny_random", "gpt-2", true}, VectorCase{"tokenizers/gpt2", "gpt-2", true},
                    VectorCase{"tokenizers/ggml_vocab/ggml-vocab-gpt-2.gguf", "gpt-2", true},
                    VectorCase{"tokenizers/ggml_vocab/ggml-vocab-bert-bge.gguf", "bert-bge", false},
                    VectorCase{"models/bert_tiny_random/tokenizer.json", "bert-bge", false},
                    VectorCase{"models/bert_tiny_random/vocab.txt", "bert-bge", false},
                    VectorCase{"tokenizers/ggml_vocab/ggml-vocab-phi-3.gguf", "phi-3", true},
                    VectorCase{"tokenizers/hf_json/phi-3-mini.tokenizer.json", "phi-3", true}),
    [](const auto& one) {
      std::string name = one.param.file;
      for (char& c : name) c = std::isalnum(static_cast<unsigned char>(c)) ? c : '_';
      return name;
    });

class SentencePieceVectors : public testing::TestWithParam<const char*> {};

TEST_P(SentencePieceVectors, HoldForTheModel) {
  const std::string path = shared_data(std::string("tokenizers/sentencepiece/") + GetParam());
  if (path.empty()) GTEST_SKIP() << no_shared_data("tokenizers/sentencepiece");
  const Tokenizer tokenizer = Tokenizer::load(path);
  std::ifstream in(path + ".vectors.jsonl");
  int lines = 0;
  for (std::string line; std::getline(in, line); ++lines) {
    const nlohmann::json expected = nlohmann::json::parse(line);
    const std::string text = expected["text"];
    const auto ids = expected["ids"].get<std::vector<TokenId>>();
    EXPECT_EQ(tokenizer.encode(text), ids) << text;
    std::string decoded = expected["decoded"];  // unknown tokens are written ⁇ there
    if (decoded.find("\xE2\x81\x87") == std::string::npos) {
      EXPECT_EQ(tokenizer.decode(ids), decoded);
    }
  }
  EXPECT_GE(lines, 15);
}

INSTANTIATE_TEST_SUITE_P(Models, SentencePieceVectors, testing::Values("test_model.model", "test_ja_model.model"),
                         [](const auto& one) { return std::string(one.param, std::string(one.param).find('.')); });

TEST(VocabularyAndMerges, NameTheEndOfText) {
  const std::string path = shared_data("tokenizers/gpt2");
  if (path.empty()) GTEST_SKIP() << no_shared_data("tokenizers/gpt2");
  EXPECT_EQ(Tokenizer::load(path).end_token(), 50256u);
}

TEST(SlowTiktokenRanks, GiveTheIdsOfCl100k) {
  const std::string path = shared_data("tokenizers/tiktoken/cl100k_base.tiktoken");
  if (path.empty()) GTEST_SKIP() << no_shared_data("tokenizers/tiktoken");
  const Tokenizer tokenizer = Tokenizer::load(path);
  EXPECT_EQ(tokenizer.vocabulary_size(), 100277);
  EXPECT_EQ(tokenizer.encode("hello world"), (std::vector<TokenId>{15339, 1917}));
  EXPECT_EQ(tokenizer.encode("tiktoken is great!<|endoftext|>"),
            (std::vector<TokenId>{83, 1609, 5963, 374, 2294, 0, 100257}));
  EXPECT_EQ(tokenizer.encode("antidisestablishmentarianism"),
            (std::vector<TokenId>{519, 85342, 34500, 479, 8997, 2191}));
  EXPECT_TRUE(tokenizer.lossless());
}

TEST(T5Tokenizer, GivesTheIdsOfItsFile) {
  const std::string path = shared_data("tokenizers/hf_json/t5-small.tokenizer.json");
  if (path.empty()) GTEST_SKIP() << no_shared_data("tokenizers/hf_json");
  const Tokenizer tokenizer = Tokenizer::load(path);
  EXPECT_EQ(tokenizer.encode_with_template("translate English to German: The house is wonderful."),
            (std::vector<TokenId>{13959, 1566, 12, 2968, 10, 37, 629, 19, 1627, 5, 1}));
  EXPECT_EQ(tokenizer.decode_text(std::vector<TokenId>{644, 4598, 229, 19250, 5, 1}), "Das Haus ist wunderbar.");
}

TEST(AddedTokensFile, MayLieFarBeyondItsVocabulary) {
  const std::string path = shared_data("tokenizers/hf_json/added-tokens.tokenizer.json");
  if (path.empty()) GTEST_SKIP() << no_shared_data("tokenizers/hf_json");
  const Tokenizer tokenizer = Tokenizer::load(path);
  EXPECT_EQ(tokenizer.encode("<|user|>\n<|end|>"), (std::vector<TokenId>{32010, 0, 13, 32007}));
}

}  // namespace
}  // namespace lathe
