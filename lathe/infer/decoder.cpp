#include "lathe/infer/decoder.h"

#include <algorithm>
#include <optional>

#include "lathe/base/numbers.h"
#include "lathe/models/family.h"
#include "lathe/models/parts.h"
#include "lathe/models/task.h"
#include "lathe/nn/prepare.h"
#include "lathe/ops/likeliest.h"
#include "lathe/ops/matmul_choices.h"
#include "lathe/tensor/sum.h"
#include "lathe/tensor/tape.h"

namespace lathe {

namespace {

Tensor kept(const Shape& shape, DType dtype) {
  PurposeScope scope(Purpose::workspace);
  return Tensor::empty(shape, dtype);
}

/// What `limits` says of sources, or nothing without them.
template <class T, class... Arguments>
std::optional<T> for_sources(const DecoderLimits& limits, Arguments&&... arguments) {
  return limits.sources > 0 ? std::optional<T>(std::in_place, std::forward<Arguments>(arguments)...) : std::nullopt;
}

}  // namespace

Decoder::Decoder(Model& model, const ModelConfig& config, DType dtype, const DecoderLimits& limits, Graphs* graphs)
    : model_(model),
      limits_(limits),
      vocabulary_(config.vocab_size),
      cache_(config, dtype, limits.sequences, limits.length),
      memory_(for_sources<KvCache>(limits, config, dtype, limits.sources, limits.source_length)),
      encoding_(for_sources<EncodingPass>(
          limits, EncodingLimits{.tokens = limits.step_source_tokens, .sequences = limits.sources})),
      inputs_(limits.step_tokens, limits.sequences),
      logits_(kept({limits.sequences, padded_vocabulary(config.vocab_size)}, dtype)),
      likeliest_(kept({limits.sequences}, DType::i32)),
      pass_(inputs_, cache_, memory_ ? &*memory_ : nullptr),
      graphs_(graphs) {
  if (limits.step_tokens < limits.sequences || limits.sequences < 1 || limits.length < 1)
    throw InternalError(text("a decoder of ", limits.sequences, " sequences of ", limits.length, " tokens, ",
                             limits.step_tokens, " a step"));
  if (model.encoder.empty() != (limits.sources == 0) || limits.step_source_tokens < limits.source_length)
    throw InternalError(text("a decoder ", model.encoder.empty() ? "without" : "with", " an encoder and of ",
                             limits.sources, " sources"));
}

void Decoder::step(std::span<const Feed> feeds, const std::function<void(const Tensor& logits)>& use) {
  auto count = int64_t(feeds.size());
  load(feeds);
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

void Decoder::load(std::span<const Feed> feeds) {
  for (const Feed& feed : feeds) require_known(feed.tokens);
  inputs_.load(feeds, cache_, memory_ ? &*memory_ : nullptr);
}

void Decoder::require_known(std::span<const uint32_t> tokens) const {
  for (uint32_t token : tokens)
    require(token < vocabulary_, "token ", token, " is beyond the model's vocabulary of ", vocabulary_);
}

void Decoder::step_on(int64_t feeds) {
  inputs_.load_chosen(likeliest_.rows(0, feeds), cache_);
  graphs_->run_unattended(feeds, [&] { forward(feeds); });
}

Tensor Decoder::likeliest(int64_t feeds, int64_t vocabulary) {
  Tensor ids = likeliest_.rows(0, feeds);
  lathe::likeliest(logits_.rows(0, feeds), vocabulary, ids);
  return ids;
}

void Decoder::start(std::span<const Source> sources, std::span<const Feed> feeds,
                    const std::function<void(const Tensor& logits)>& use) {
  std::vector<WholeText> texts;
  NewMemory made;
  int64_t first = 0;
  for (const Source& source : sources) {
    auto count = int64_t(source.tokens.size());
    require_known(source.tokens);
    texts.push_back({source.tokens, {}, {}});
    made.parts.push_back({source.number, first, count});
    first += count;
    memory_->clear(source.number);
    memory_->append(source.number, count);
  }
  encoding_->load(texts);
  load(feeds);
  {
    Recording paused(nullptr);
    made.rows = through(model_.encoder, *encoding_);
  }
  pass_.bring(&made);
  forward(int64_t(feeds.size()));
  pass_.bring(nullptr);
  made.rows = Tensor();
  use(logits_.rows(0, int64_t(feeds.size())));
}

void Decoder::forward(int64_t feeds) {
  Recording paused(nullptr);
  Tensor logits = logits_.rows(0, feeds);
  copy(model_.forward(pass_), logits);
}

std::vector<Feed> Decoder::largest_feeds(const std::vector<uint32_t>& tokens) const {
  auto left = int64_t(tokens.size());
  std::vector<Feed> feeds;
  for (int64_t s = 0; s < limits_.sequences; ++s) {
    int64_t share = left / (limits_.sequences - s);
    feeds.push_back({s, std::span(tokens).first(size_t(share)), memory_ ? s % limits_.sources : -1});
    left -= share;
  }
  return feeds;
}

void Decoder::largest_step() {
  std::vector<uint32_t> tokens(size_t(std::min(limits_.step_tokens, limits_.sequences * limits_.length)), 0);
  step(largest_feeds(tokens), [](const Tensor&) {});
  for (int64_t s = 0; s < limits_.sequences; ++s) clear(s);
}

void Decoder::largest_start() {
  std::vector<uint32_t> tokens(size_t(std::min(limits_.step_tokens, limits_.sequences * limits_.length)), 0),
      source_tokens(size_t(limits_.source_length), 0);
  std::vector<Source> sources;
  int64_t left = limits_.step_source_tokens;
  for (int64_t n = 0; n < limits_.sources && left > 0; ++n) {
    int64_t count = std::min(left - std::min(limits_.sources - n - 1, left - 1), limits_.source_length);
    sources.push_back({n, std::span(source_tokens).first(size_t(count))});
    left -= count;
  }
  start(sources, largest_feeds(tokens), [](const Tensor&) {});
  for (int64_t s = 0; s < limits_.sequences; ++s) clear(s);
  for (int64_t n = 0; n < limits_.sources; ++n) memory_->clear(n);
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
  require(task_of(config) == Task::causal_lm, architecture_of(config), " gives no tokens that follow a text");
  Runtime runtime(device.as_meta(), Runtime::kUnbounded);
  std::unique_ptr<Model> model = load();
  Decoder decoder(*model, config, dtype, limits);
  InferencePlan plan;
  plan.persistent = runtime.arena.use().reserved;
  plan.by_purpose = runtime.arena.use().live_by_purpose;
  plan.step = rehearse([&] { decoder.largest_step(); });
  if (decoder.has_encoder()) plan.start = rehearse([&] { decoder.largest_start(); });
  int64_t episode = std::max(plan.step.placement.reserved, plan.start.placement.reserved);
  plan.capacity = std::max(plan.persistent, runtime.arena.kept_end() + episode);
  return plan;
}

std::string memory_table(const InferencePlan& plan) {
  const Rehearsal& largest = plan.start.peak > plan.step.peak ? plan.start : plan.step;
  return text("memory ", format_bytes(plan.capacity), ", at its peak:\n", table_of(largest.at_peak));
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
