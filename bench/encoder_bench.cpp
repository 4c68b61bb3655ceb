// The lathe side of bench/encoders.py: runs whole texts through a model, and says how long that took, whenever told to.
//   build/release/bench/encoder_bench embed|classify|write MODEL IDS.json f32|bf16 BATCH
// IDS.json: lists of tokens. The first line of output is the result, as JSON; then each line of input starts one more
// run over all lists, whose seconds are printed. `write`: the 64 likeliest tokens about each list, one list after
// another.
#include <chrono>
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>

#include "lathe/base/error.h"
#include "lathe/base/json.h"
#include "lathe/files/load_model.h"
#include "lathe/files/model_config.h"
#include "lathe/infer/beam_search.h"
#include "lathe/infer/embedder.h"
#include "lathe/infer/host_logits.h"

namespace lathe {
namespace {

using Lists = std::vector<std::vector<TokenId>>;
using nlohmann::json;
constexpr int64_t kTokens = 64, kMemory = int64_t{8} << 30;

/// Answers lines of input with the seconds that `run` takes; its result comes first.
void serve(const std::function<json()>& run) {
  std::cout << run().dump() << std::endl;
  for (std::string line; std::getline(std::cin, line);) {
    auto start = std::chrono::steady_clock::now();
    run();
    std::cout << std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count() << std::endl;
  }
}

TextReader::Options options_of(const Lists& lists, DType dtype, int64_t batch) {
  size_t longest = 0;
  for (const auto& list : lists) longest = std::max(longest, list.size());
  return {.limits = {.tokens = batch * int64_t(longest), .sequences = batch},
          .device = {},
          .compute = dtype,
          .memory = kMemory};
}

void embed(const std::string& directory, const Lists& lists, DType dtype, int64_t batch) {
  SentenceModules modules = read_sentence_modules(directory).value_or(SentenceModules{});
  Embedder embedder(TensorFiles(directory), read_model_config(directory), modules, options_of(lists, dtype, batch));
  serve([&] { return json(embedder.embed(lists)); });
}

void classify(const std::string& directory, const Lists& lists, DType dtype, int64_t batch) {
  std::vector<std::vector<float>> logits;
  ModelConfig config = read_model_config(directory);
  TextReader reader(TensorFiles(directory), config, options_of(lists, dtype, batch),
                    [&](const Tensor& rows, const Packed&) {
                      HostLogits host(rows);
                      for (int64_t row = 0; host.known() && row < rows.shape()[0]; ++row)
                        host.row(row, rows.shape().columns(), logits.emplace_back());
                    });
  serve([&] {
    logits.clear();
    for (size_t first = 0; first < lists.size(); first += size_t(batch)) {
      std::vector<WholeText> texts;
      for (size_t i = first; i < std::min(first + size_t(batch), lists.size()); ++i)
        texts.push_back({lists[i], {}, {}});
      reader.read(texts);
    }
    return json(logits);
  });
}

void write(const std::string& directory, const Lists& lists, DType dtype) {
  ModelConfig config = read_model_config(directory);
  DecoderLimits limits{.sequences = 1, .length = kTokens + 1, .step_tokens = 1, .sources = 1};
  for (const auto& list : lists) limits.source_length = std::max(limits.source_length, int64_t(list.size()));
  limits.step_source_tokens = limits.source_length;
  InferencePlan plan = plan_inference(config, dtype, limits);
  Runtime runtime({}, plan.capacity);
  auto model = load_model(TensorFiles(directory), config, dtype);
  Decoder decoder(*model, config, dtype, limits);
  BeamSearch search(decoder, config.vocab_size, {},
                    {.beams = 1, .early_stopping = EarlyStopping::yes, .max_new_tokens = kTokens});
  const auto start = TokenId(config.decoder_start_token_id);
  serve([&] {
    Lists written;
    for (const auto& list : lists)
      written.push_back(search
                            .run(list, {&start, 1},
                                 [&](bool starts, const std::function<void()>& step) {
                                   replay(starts ? plan.start.placement : plan.step.placement, step);
                                 })
                            .front()
                            .tokens);
    return json(written);
  });
}

int run(const std::vector<std::string>& arguments) {
  require(arguments.size() == 5, "usage: encoder_bench embed|classify|write MODEL IDS.json f32|bf16 BATCH");
  auto lists = read_json(arguments[2]).get<Lists>();
  DType dtype = arguments[3] == "bf16" ? DType::bf16 : DType::f32;
  int64_t batch = std::stoll(arguments[4]);
  if (arguments[0] == "embed")
    embed(arguments[1], lists, dtype, batch);
  else if (arguments[0] == "classify")
    classify(arguments[1], lists, dtype, batch);
  else
    write(arguments[1], lists, dtype);
  return 0;
}

}  // namespace
}  // namespace lathe

int main(int count, char** arguments) {
  try {
    return lathe::run({arguments + 1, arguments + count});
  } catch (const std::exception& error) {
    std::cerr << "encoder_bench: " << error.what() << '\n';
    return 1;
  }
}
