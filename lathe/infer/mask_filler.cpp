#include "lathe/infer/mask_filler.h"

#include <algorithm>
#include <cmath>

#include "lathe/base/error.h"
#include "lathe/infer/host_logits.h"
#include "lathe/infer/sampler.h"
#include "lathe/models/task.h"

namespace lathe {
namespace {

const ModelConfig& with_masked_head(const ModelConfig& config) {
  require(task_of(config) == Task::masked_lm, "architecture ", architecture_of(config),
          " has no masked language model's head, so it cannot fill masks; one that ends in ForMaskedLM has");
  return config;
}

TextReader::Options with_masks(TextReader::Options options, int64_t most_masks) {
  options.limits = {.tokens = 0, .sequences = 1, .rows = most_masks};
  return options;
}

std::vector<MaskChoice> likeliest(std::span<const float> logits, int64_t count) {
  require(std::all_of(logits.begin(), logits.end(), [](float x) { return std::isfinite(x); }), kLogitsAreNoNumbers);
  float highest = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  std::vector<MaskChoice> choices;
  for (size_t token = 0; token < logits.size(); ++token) {
    float share = std::exp(logits[token] - highest);
    sum += double(share);
    choices.push_back({TokenId(token), share});
  }
  auto kept = std::min(count, int64_t(choices.size()));
  std::partial_sort(choices.begin(), choices.begin() + kept, choices.end(), [](auto& a, auto& b) {
    return a.probability != b.probability ? a.probability > b.probability : a.token < b.token;
  });
  choices.resize(size_t(kept));
  for (MaskChoice& choice : choices) choice.probability = float(double(choice.probability) / sum);
  return choices;
}

}  // namespace

MaskFiller::MaskFiller(const TensorFiles& files, const ModelConfig& config, TextReader::Options options,
                       int64_t most_masks)
    : most_masks_(most_masks),
      vocabulary_(config.vocab_size),
      reader_(files, with_masked_head(config), with_masks(options, most_masks),
              [this](const Tensor& rows, const Packed&) {
                HostLogits logits(rows);
                logits_.assign(logits.known() ? size_t(rows.shape()[0]) : 0, {});
                for (size_t i = 0; i < logits_.size(); ++i) logits.row(int64_t(i), vocabulary_, logits_[i]);
              }) {}

std::vector<std::vector<MaskChoice>> MaskFiller::fill(std::span<const TokenId> tokens, TokenId mask, int64_t count) {
  std::vector<int32_t> masks;
  for (size_t i = 0; i < tokens.size(); ++i)
    if (tokens[i] == mask) masks.push_back(int32_t(i));
  require(!masks.empty(), "the text has no mask token");
  require(int64_t(masks.size()) <= most_masks_, "the text has ", masks.size(), " masks; at most ", most_masks_,
          " are filled");
  WholeText whole{tokens, {}, masks};
  reader_.read({&whole, 1});
  std::vector<std::vector<MaskChoice>> choices;
  for (const std::vector<float>& row : logits_) choices.push_back(likeliest(row, count));
  return choices;
}

}  // namespace lathe
