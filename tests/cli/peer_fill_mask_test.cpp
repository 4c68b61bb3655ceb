// lathe fill-mask beside the pipeline of transformers, on tiny models with random weights.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <sstream>

#include "tests/support/program.h"
#include "tests/support/temporary_directory.h"

namespace lathe {
namespace {

using nlohmann::json;

constexpr const char* kFill = R"(
import json, os, sys, tokenizers, torch, transformers
folder, texts = sys.argv[1], sys.argv[2:]
small = dict(hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=48, max_position_embeddings=40, pad_token_id=0)
words = "the a lathe turn ##s wood metal on is capital of france paris while tool .".split()

def model_of(kind, vocab_size):
    if kind == "bert":
        model = transformers.BertForMaskedLM(transformers.BertConfig(vocab_size=vocab_size, **small))
    else:
        model = transformers.LongformerForMaskedLM(transformers.LongformerConfig(vocab_size=vocab_size, attention_window=4, **small))
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3) if parameter.dim() > 1 else torch.nn.init.normal_(parameter, mean=0.5, std=0.3)
    return model.eval()

torch.manual_seed(5)
for kind, mask in ("bert", "[MASK]"), ("longformer", "<mask>"):
    all_words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", mask] + words
    bare = tokenizers.BertWordPieceTokenizer({word: i for i, word in enumerate(all_words)}, mask_token=mask)
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=bare._tokenizer, pad_token="[PAD]", unk_token="[UNK]",
                                                     cls_token="[CLS]", sep_token="[SEP]", mask_token=mask)
    model = model_of(kind, len(all_words))
    model.save_pretrained(os.path.join(folder, kind))
    tokenizer.save_pretrained(os.path.join(folder, kind))
    fill = transformers.pipeline("fill-mask", model=model, tokenizer=tokenizer, top_k=6)
    for text in texts:
        found = fill(text.replace("[MASK]", mask))
        masks = found if isinstance(found[0], list) else [found]
        print(json.dumps([[{"id": choice["token"], "probability": choice["score"]} for choice in one] for one in masks]))
)";

/// The choices of each text's masks in what `lathe fill-mask` printed.
std::vector<json> choices_of(const std::string& printed) {
  std::vector<json> choices;
  std::istringstream lines(printed);
  for (std::string line; std::getline(lines, line);) choices.push_back(json::parse(line)["masks"]);
  return choices;
}

void expect_same(const json& masks, const json& wanted, const std::string& what) {
  ASSERT_EQ(masks.size(), wanted.size()) << what;
  for (size_t i = 0; i < masks.size(); ++i)
    for (size_t k = 0; k < 6; ++k) {
      EXPECT_EQ(masks[i][k]["id"], wanted[i][k]["id"]) << what;
      EXPECT_NEAR(masks[i][k]["probability"].get<double>(), wanted[i][k]["probability"].get<double>(), 1e-5) << what;
    }
}

TEST(PeerFillMask, SaysWhatThePipelineOfTransformersSays) {
  if (!peers_are_ready()) GTEST_SKIP() << no_peers();
  TemporaryDirectory folder;
  const std::vector<std::string> texts = {"Paris is the [MASK] of France.",
                                          "[MASK] lathe turns [MASK] while the tool is on.", "wood [MASK]"};
  std::vector<std::string> asked = {folder.path()};
  asked.insert(asked.end(), texts.begin(), texts.end());
  std::istringstream expected(run_peer(kFill, asked));
  for (const char* kind : {"bert", "longformer"}) {
    asked = {"fill-mask", folder.path(kind), "--json", "--dtype", "f32", "--top-k", "6"};
    asked.insert(asked.end(), texts.begin(), texts.end());
    ProgramResult result = run_lathe(asked);
    ASSERT_EQ(result.status, 0) << result.errors;
    std::vector<json> choices = choices_of(result.output);
    ASSERT_EQ(choices.size(), texts.size());
    for (const json& masks : choices) {
      std::string line;
      std::getline(expected, line);
      expect_same(masks, json::parse(line), std::string(kind) + ' ' + line);
    }
  }
}

}  // namespace
}  // namespace lathe
