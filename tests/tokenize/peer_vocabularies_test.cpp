// Vocabularies of models without tokenizer.json are read as transformers reads them.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "lathe/base/text_input.h"
#include "lathe/tokenize/tokenizer.h"
#include "tests/support/checkout.h"
#include "tests/support/program.h"
#include "tests/support/temporary_directory.h"

namespace lathe {
namespace {

TEST(PeerVocabularies, GiveTheIdsOfAutoTokenizer) {
  if (!peers_are_ready()) GTEST_SKIP() << no_peers();
  const TemporaryDirectory folder;
  const std::string program = read_text((checkout() / "tests/tokenize/make_vocabularies.py").string());
  const nlohmann::json theirs = nlohmann::json::parse(run_peer(program, {folder.path()}));
  ASSERT_GE(theirs.size(), 25u);
  for (const auto& [name, expected] : theirs.items()) {
    const Tokenizer ours = Tokenizer::load(folder.path(name));
    for (size_t i = 0; i < expected["texts"].size(); ++i) {
      const std::string text = expected["texts"][i];
      const std::vector<TokenId> ids = expected["ids"][i];
      EXPECT_EQ(ours.encode_with_template(text), ids) << name << ": " << text;
    }
    const std::vector<TokenId> pair = expected["pair"];
    const std::string first = expected["first"], second = expected["second"];
    const Encoding both = ours.encode_pair(first, second);
    EXPECT_EQ(both.ids, pair) << name << ", a pair";
    EXPECT_EQ(Tokenizer::parse(ours.json(), name).encode_pair(first, second).ids, pair) << name << ", saved";
  }
}

}  // namespace
}  // namespace lathe
