#include <gtest/gtest.h>

#include <fstream>
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

void check_vectors(const Tokenizer& tokenizer) {
  const std::string base = shared_data("tokenizers/ggml_vocab") + "/ggml-vocab-gpt-2.gguf";
  const auto texts = vector_texts(base + ".inp");
  const auto ids = vector_ids(base + ".out");
  ASSERT_EQ(texts.size(), ids.size());
  ASSERT_GE(texts.size(), 40u);
  for (size_t i = 0; i < texts.size(); ++i) {
    EXPECT_EQ(tokenizer.encode(texts[i]), ids[i]) << '"' << texts[i] << '"';
    EXPECT_EQ(tokenizer.decode(ids[i]), texts[i]);
  }
}

TEST(Gpt2Vectors, HoldForItsTokenizerJson) {
  const std::string path = shared_data("models/gpt2_tiny_random");
  if (path.empty()) GTEST_SKIP() << no_shared_data("models/gpt2_tiny_random");
  check_vectors(Tokenizer::load(path));
}

TEST(Gpt2Vectors, HoldForVocabularyAndMergesFiles) {
  const std::string path = shared_data("tokenizers/gpt2");
  if (path.empty()) GTEST_SKIP() << no_shared_data("tokenizers/gpt2");
  const Tokenizer tokenizer = Tokenizer::load(path);
  check_vectors(tokenizer);
  EXPECT_EQ(tokenizer.end_token(), 50256u);
}

}  // namespace
}  // namespace lathe
