// lathe embed beside transformers, on a tiny Longformer with random weights: texts shorter and longer than its windows.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <sstream>

#include "tests/support/program.h"
#include "tests/support/temporary_directory.h"

namespace lathe {
namespace {

using nlohmann::json;

constexpr const char* kEmbed = R"(
import json, os, sys, tokenizers, torch, transformers
folder, texts = sys.argv[1], sys.argv[2:]
words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"] + "the a lathe turn ##s wood metal on is tool .".split()
bare = tokenizers.BertWordPieceTokenizer({word: i for i, word in enumerate(words)})
tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=bare._tokenizer, pad_token="[PAD]", unk_token="[UNK]",
                                                 cls_token="[CLS]", sep_token="[SEP]", mask_token="[MASK]")
torch.manual_seed(5)
model = transformers.LongformerModel(transformers.LongformerConfig(
    vocab_size=len(words), hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=48, pad_token_id=0,
    attention_window=[4, 8], max_position_embeddings=66, initializer_range=0.3), add_pooling_layer=False).eval()
model.save_pretrained(folder)
tokenizer.save_pretrained(folder)
parts = [("", "Transformer"), ("1_Pooling", "Pooling")]
json.dump([{"idx": i, "name": str(i), "path": path, "type": "sentence_transformers.models." + kind}
           for i, (path, kind) in enumerate(parts)], open(os.path.join(folder, "modules.json"), "w"))
json.dump({"max_seq_length": 64}, open(os.path.join(folder, "sentence_bert_config.json"), "w"))
os.mkdir(os.path.join(folder, "1_Pooling"))
json.dump({"word_embedding_dimension": 32, "pooling_mode_mean_tokens": True}, open(os.path.join(folder, "1_Pooling", "config.json"), "w"))
for text in texts:
    ids = tokenizer(text, return_tensors="pt", truncation=True, max_length=64)
    with torch.inference_mode():
        rows = model(ids["input_ids"], attention_mask=ids["attention_mask"]).last_hidden_state[0]
    print(json.dumps(rows.mean(0).tolist()))
)";

TEST(PeerEmbed, GivesTheVectorsOfTransformersWithinAWindowAndBeyond) {
  if (!peers_are_ready()) GTEST_SKIP() << no_peers();
  TemporaryDirectory folder;
  std::string of_sixteen = "the lathe turns the wood on a tool . a metal is on the lathe", cut;
  for (int i = 0; i < 6; ++i) cut += of_sixteen + ' ';
  const std::vector<std::string> texts = {"wood", of_sixteen + ' ' + of_sixteen, cut, "a lathe turns"};
  std::vector<std::string> asked = {folder.path()};
  asked.insert(asked.end(), texts.begin(), texts.end());
  std::istringstream expected(run_peer(kEmbed, asked));
  asked = {"embed", folder.path(), "--dtype", "f32"};
  asked.insert(asked.end(), texts.begin(), texts.end());
  ProgramResult result = run_lathe(asked);
  ASSERT_EQ(result.status, 0) << result.errors;
  std::istringstream printed(result.output);
  std::string ours, theirs;
  for (const std::string& text : texts) {
    ASSERT_TRUE(std::getline(printed, ours) && std::getline(expected, theirs)) << text;
    auto found = json::parse(ours)["embedding"].get<std::vector<float>>();
    auto wanted = json::parse(theirs).get<std::vector<float>>();
    ASSERT_EQ(found.size(), wanted.size());
    for (size_t i = 0; i < found.size(); ++i) EXPECT_NEAR(found[i], wanted[i], 1e-4) << text << ' ' << i;
  }
}

}  // namespace
}  // namespace lathe
