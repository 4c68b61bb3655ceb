#include "lathe/infer/decoder.h"

#include <algorithm>
#include <optional>

#include "lathe/base/numbers.h"
#include "lathe/models/family.h"
#include "lathe/models/parts.h"
#include "lathe/nn/prepare.h"
#include "lathe/ops/matmul_choices.h"
#include "lathe/tensor/sum.h"
#include "lathe/tensor/tape.h"

namespace lathe {

namespace {

Tensor logits_of(int64_t sequences, int64_t columns, DType dtype) {
  PurposeScope scope(Purpose::workspace);
  return Tensor::empty({sequences, columns}, dtype);
}

}  // namespace

Decoder::Decoder(Model& model, const ModelConfig& config, DType dtype, const DecoderLimits& limits, Graphs* graphs)
    : model_(model),
      limits_(limits),
      vocabulary_(config.vocab_size),
      cache_(config, dtype, limits.sequences, limits.length),
      inputs_(limits.step_tokens, limits.sequences),
      logits_(logits_of(limits.sequences, padded_vocabulary(config.vocab_size), dtype)),
      pass_(inputs_, cache_),
      graphs_(graphs) {
  if (limits.step_tokens < limits.sequences || limits.sequences < 1 || limits.length < 1)
    throw InternalError(text("a decoder of ", limits.sequences, " sequences of ", limits.length, " tokens, ",
                             limits.step_tokens, " a step"));
}

void Decoder::step(std::span<const Feed> feeds, const std::function<void(const Tensor& logits)>& use) {
  auto count = int64_t(feeds.size());
  inputs_.load(feeds, cache_);
  bool decoding = std::all_of(feeds.begin(), feeds.end(), [](const Feed& feed) { return feed.tokens.size() == 1; });
  if (graphs_ && decoding) {
    std::optional<MeasureProducts> measuring;
    if (decoded_.insert(count).second) measuring.emplace();
    graphs_->run_unattended(count, [&] { forward(count); });
  } else {
    forward(count);
  }
  use(logits_.rows(0, count));
}

void Decoder::forward(int64_t feeds) {
  Recording paused(nullptr);
  Tensor logits = logits_.rows(0, feeds);
  copy(model_.forward(pass_), logits);
}

void Decoder::largest_step() {
  int64_t left = std::min(limits_.step_tokens, limits_.sequences * limits_.length);
  std::vector<uint32_t> tokens(size_t(left), 0);
  std::vector<Feed> feeds;
  for (int64_t s = 0; s < limits_.sequences; ++s) {
    int64_t share = left / (limits_.sequences - s);
    feeds.push_back({s, std::span(tokens).first(size_t(share))});
    left -= share;
  }
  step(feeds, [](const Tensor&) {});
  for (int64_t s = 0; s < limits_.sequences; ++s) clear(s);
}

InferencePlan plan_inference(const ModelConfig& config, DType dtype, const DecoderLimits& limits, Device device) {
  auto load = [&] {
    std::unique_ptr<Model> model = make_model(config);
    prepare_for_use(*model, dtype, nullptr);
    return model;
  };
  return plan_inference(load, config, dtype, limits, device);
}

InferencePlan plan_inference(const std::function<std::unique_ptr<Model>()>& load, const ModelConfig& config,
                             DType dtype, const DecoderLimits& limits, Device device) {
  Runtime runtime(device.as_meta(), Runtime::kUnbounded);
  std::unique_ptr<Model> model = load();
  Decoder decoder(*model, config, dtype, limits);
  InferencePlan plan;
  plan.persistent = runtime.arena.use().reserved;
  plan.by_purpose = runtime.arena.use().live_by_purpose;
  plan.step = rehearse([&] { decoder.largest_step(); });
  plan.capacity = std::max(plan.persistent, runtime.arena.kept_end() + plan.step.placement.reserved);
  return plan;
}

std::string memory_table(const InferencePlan& plan) {
  return text("memory ", format_bytes(plan.capacity), ", at its peak:\n", table_of(plan.step.at_peak));
}

void require_fits(const InferencePlan& plan, const DecoderLimits& limits, DType dtype, int64_t budget) {
  if (plan.capacity <= budget) return;
  std::string way_out = "a shorter --max-tokens";
  if (dtype == DType::f32)
    way_out = "--dtype bf16";
  else if (limits.sequences > 1)
    way_out = text("a --batch below ", limits.sequences);
  throw Error(text("generating needs ", format_bytes(plan.capacity), " but ", format_bytes(budget),
                   " are available here; try ", way_out, "\n", memory_table(plan)));
}

}  // namespace lathe
