#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "lathe/files/model_config.h"
#include "lathe/infer/embedder.h"
#include "lathe/infer/mask_filler.h"
#include "tests/support/checkout.h"
#include "tests/support/program.h"

namespace lathe {
namespace {

using nlohmann::json;

constexpr const char* kEmbeddings = R"(
import json, sys, torch, transformers
model = transformers.AutoModel.from_pretrained(sys.argv[1], dtype=torch.float32).eval()
tokenizer = transformers.AutoTokenizer.from_pretrained(sys.argv[1])
texts = ["A lathe turns wood.", "", "Wood is turned on a lathe while a tool shapes it; " * 40,
         "Völlig anderes: der Preis stieg um 3,5 % auf 1.200 Euro.", "the quick brown fox"]
batch = tokenizer(texts, padding=True, truncation=True, max_length=256, return_tensors="pt")
with torch.no_grad():
    hidden = model(**batch).last_hidden_state
mask = batch["attention_mask"].unsqueeze(-1).float()
pooled = torch.nn.functional.normalize((hidden * mask).sum(1) / mask.sum(1), dim=1)
ids = [row[:int(n)].tolist() for row, n in zip(batch["input_ids"], batch["attention_mask"].sum(1))]
print(json.dumps({"ids": ids, "vectors": pooled.tolist(), "texts": texts}))
)";

std::string minilm() { return (checkout() / "build/models/all-MiniLM-L6-v2").string(); }

TEST(SlowMiniLm, OfMiniLmEqualThoseOfTransformers) {
  if (!std::filesystem::exists(minilm())) GTEST_SKIP() << minilm() << " is not there; script/setup --models fetches it";
  if (!peers_are_ready()) GTEST_SKIP() << no_peers();
  json peer = json::parse(run_peer(kEmbeddings, {minilm()}));
  auto ids = peer["ids"].get<std::vector<std::vector<TokenId>>>();
  for (DType compute : {DType::f32, DType::bf16}) {
    Embedder embedder(TensorFiles(minilm()), read_model_config(minilm()), read_sentence_modules(minilm()).value(),
                      {.limits = {.sequences = 2}, .device = {}, .compute = compute, .memory = int64_t{1} << 32});
    auto vectors = embedder.embed(ids);
    ASSERT_EQ(vectors.size(), ids.size());
    double most = 0;
    for (size_t i = 0; i < ids.size(); ++i)
      for (size_t d = 0; d < vectors[i].size(); ++d)
        most = std::max(most, std::abs(double(vectors[i][d]) - peer["vectors"][i][d].get<double>()));
    EXPECT_LT(most, compute == DType::f32 ? 2e-6 : 5e-3) << name_of(compute);
  }
}

}  // namespace
}  // namespace lathe
