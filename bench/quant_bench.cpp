// The lathe side of bench/quant.py: reads a prompt and continues it greedily, and says how long that took, whenever
// told to.
//   build/release/bench/quant_bench MODEL IDS.json f32|bf16 TOKENS
// IDS.json: the prompt's tokens. The first line of output is what came of it, as JSON: the logits behind the prompt,
// the TOKENS likeliest tokens, planned bytes. Then each line of input, "prompt" or "decode", starts one more run, whose
// seconds are printed; decoding begins behind the prompt and its first token.
#include <algorithm>
#include <chrono>
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>

#include "lathe/base/error.h"
#include "lathe/base/json.h"
#include "lathe/files/load_model.h"
#include "lathe/files/model_config.h"
#include "lathe/infer/generator.h"
#include "lathe/infer/host_logits.h"

namespace lathe {
namespace {

using nlohmann::json;
using Ids = std::vector<TokenId>;

double seconds_of(const std::function<void()>& work) {
  auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

class Bench {
 public:
  Bench(const std::string& model, Ids prompt, DType dtype, int64_t tokens)
      : prompt_(std::move(prompt)),
        tokens_(tokens),
        config_(read_model_config(model)),
        limits_(limits_for(std::vector<Ids>{prompt_}, tokens, config_.max_position_embeddings, 1)),
        files_(model),
        plan_(plan_inference([&] { return load_model(files_, config_, dtype); }, config_, dtype, limits_)),
        runtime_({}, plan_.capacity),
        model_(load_model(files_, config_, dtype)),
        decoder_(*model_, config_, dtype, limits_) {}

  void read_prompt() {
    decoder_.clear(0);
    step(prompt_);
  }

  /// The likeliest tokens behind the prompt, which has been read.
  Ids decode() {
    Ids written = {likeliest()};
    while (int64_t(written.size()) < tokens_) {
      step(std::span(&written.back(), 1));
      written.push_back(likeliest());
    }
    return written;
  }

  json result() {
    read_prompt();
    json behind = logits_;
    Ids written = decode();
    return {{"logits", behind},
            {"tokens", written},
            {"weights", plan_.by_purpose[size_t(Purpose::weights)]},
            {"kv_cache", plan_.by_purpose[size_t(Purpose::kv_cache)]}};
  }

 private:
  Ids prompt_;
  int64_t tokens_;
  ModelConfig config_;
  DecoderLimits limits_;
  TensorFiles files_;
  InferencePlan plan_;
  Runtime runtime_;
  std::unique_ptr<Model> model_;
  Decoder decoder_;
  std::vector<float> logits_;

  TokenId likeliest() const { return TokenId(std::max_element(logits_.begin(), logits_.end()) - logits_.begin()); }

  /// As much of a text at a time as a step takes.
  void step(std::span<const TokenId> tokens) {
    while (!tokens.empty()) {
      size_t count = std::min(tokens.size(), size_t(limits_.step_tokens));
      Feed feed{0, tokens.first(count)};
      replay(plan_.step.placement, [&] {
        decoder_.step({&feed, 1},
                      [&](const Tensor& logits) { HostLogits(logits).row(0, config_.vocab_size, logits_); });
      });
      tokens = tokens.subspan(count);
    }
  }
};

int run(const std::vector<std::string>& arguments) {
  require(arguments.size() == 4, "usage: quant_bench MODEL IDS.json f32|bf16 TOKENS");
  Bench bench(arguments[0], read_json(arguments[1]).get<Ids>(), arguments[2] == "bf16" ? DType::bf16 : DType::f32,
              std::stoll(arguments[3]));
  std::cout << bench.result().dump() << std::endl;
  for (std::string line; std::getline(std::cin, line);) {
    if (line == "decode") bench.read_prompt();
    std::cout << seconds_of([&] { line == "decode" ? void(bench.decode()) : bench.read_prompt(); }) << std::endl;
  }
  return 0;
}

}  // namespace
}  // namespace lathe

int main(int count, char** arguments) {
  try {
    return lathe::run({arguments + 1, arguments + count});
  } catch (const std::exception& error) {
    std::cerr << "quant_bench: " << error.what() << '\n';
    return 1;
  }
}
