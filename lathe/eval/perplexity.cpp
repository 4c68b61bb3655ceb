#include "lathe/eval/perplexity.h"

#include <chrono>
#include <cmath>

#include "lathe/base/numbers.h"
#include "lathe/files/load_model.h"
#include "lathe/files/peft_adapter.h"
#include "lathe/models/family.h"
#include "lathe/models/task.h"
#include "lathe/nn/loss.h"
#include "lathe/ops/rows.h"
#include "lathe/tensor/tape.h"
#include "lathe/tensor/transfer.h"
#include "lathe/train/training_pass.h"

namespace lathe::eval {

double Perplexity::loss() const { return nats / double(tokens); }
double Perplexity::perplexity() const { return std::exp(loss()); }
double Perplexity::bits_per_byte() const { return nats / std::log(2.0) / double(bytes); }
double Perplexity::tokens_per_second() const { return double(tokens) / seconds; }

void Perplexity::add(const Perplexity& other) {
  tokens += other.tokens;
  bytes += other.bytes;
  documents += other.documents;
  unpredicted += other.unpredicted;
  nats += other.nats;
  seconds += other.seconds;
}

/// A pass that ends in the summed loss of the rows that a WindowBatch predicts from: only they get logits. Tensors of
/// fixed address; a smaller batch uses their first part.
class PerplexityMeter::Scorer : public Pass {
 public:
  Scorer(const WindowOptions& options, int64_t vocabulary)
      : vocabulary_(vocabulary),
        loss_rows_(rows_of_loss_chunk(Runtime::current().device, vocabulary, options.batch_rows())) {
    PurposeScope scope(Purpose::workspace);
    int64_t tokens = options.batch_tokens();
    all_ = Tensor::empty({3 * tokens + 1 + 2 * options.batch_rows()}, DType::i32);
    rows_ = all_.rows(3 * tokens + 1, options.batch_rows());
    targets_ = all_.rows(3 * tokens + 1 + options.batch_rows(), options.batch_rows());
    one_ = Tensor::empty({1});
    const float one = 1;
    upload(std::span<const float>(&one, 1), one_);
    sequences_.longest = options.window;
  }

  /// `batch` must outlive what is run with it.
  void load(const WindowBatch& batch) {
    int64_t capacity = (all_.elements() - 1 - 2 * rows_.elements()) / 3, count = int64_t(batch.tokens.size());
    tokens_ = all_.rows(0, count);
    positions_ = all_.rows(capacity, count);
    sequences_.offsets = all_.rows(2 * capacity, int64_t(batch.offsets.size()));
    sequences_.host = batch.offsets;
    upload(std::span(batch.tokens), tokens_);
    upload(std::span(batch.positions), positions_);
    upload(std::span(batch.offsets), sequences_.offsets);
    upload_padded(batch.rows, 0, rows_);
    upload_padded(batch.targets, data::kIgnoreTarget, targets_);
  }

  const Tensor& tokens() const override { return tokens_; }
  const Tensor& positions() const override { return positions_; }
  Tensor attend(int, const Tensor& qkv, const AttentionSpec& spec) override {
    if (spec.rotary.dims == 0) return attention(qkv, sequences_, spec);
    RotarySpec turns = for_length(spec.rotary, sequences_.longest);
    return attention(rotary(qkv, positions_, spec.heads + spec.kv_heads, turns), sequences_, spec);
  }
  Tensor rows(const Tensor& hidden) const override { return gather_rows(hidden, rows_); }
  Tensor finish(const Tensor& hidden, const Project& head) override {
    return chunked_cross_entropy(rows(hidden), head, targets_, one_, loss_rows_, vocabulary_);
  }

 private:
  /// The number of rows is always the same, so that a pass always makes the same allocations.
  void upload_padded(std::vector<int32_t> values, int32_t filler, Tensor& to) {
    values.resize(size_t(to.elements()), filler);
    upload(std::span<const int32_t>(values), to);
  }

  int64_t vocabulary_, loss_rows_;
  Tensor all_, tokens_, positions_, rows_, targets_, one_;
  Packed sequences_;
};

namespace {

/// The largest batch there can be, of zeros.
WindowBatch blank_batch(const WindowOptions& options) {
  WindowBatch batch;
  batch.tokens.resize(size_t(options.batch_tokens()));
  for (int64_t i = 0; i < options.batch_tokens(); ++i) batch.positions.push_back(int32_t(i % options.window));
  for (int64_t i = 0; i <= options.batch; ++i) batch.offsets.push_back(int32_t(i * options.window));
  batch.rows.resize(size_t(options.batch_rows()));
  batch.targets.resize(batch.rows.size());
  return batch;
}

void check(const WindowOptions& options, const ModelConfig& config) {
  require(family_named(config.model_type).reading == Reading::decoder, "perplexity means nothing for ",
          config.model_type, ", which does not predict a text token after token");
  require(task_of(config) == Task::causal_lm, "perplexity means nothing for ", architecture_of(config),
          ", which predicts no tokens");
  require(options.window >= 1 && options.window <= config.max_position_embeddings, "a window of ", options.window,
          " tokens does not fit the model, which takes 1 to ", config.max_position_embeddings,
          " (max_position_embeddings)");
  require(options.stride >= 1 && options.stride <= options.window, "a stride of ", options.stride,
          " tokens does not fit a window of ", options.window, ": it must be 1 to ", options.window);
  require(options.batch >= 1 && options.batch <= (int64_t{1} << 30) / options.window, "a batch of ", options.batch,
          " windows: it must be at least 1, and hold at most 2^30 tokens");
}

std::unique_ptr<Model> loaded(const std::string& directory, const ModelConfig& config,
                              const PerplexityMeter::Options& options) {
  TensorFiles files(directory);
  if (options.adapter) options.adapter->put_into(files);
  return load_model(files, config, options.compute, options.adapter);
}

}  // namespace

PerplexityMeter::PerplexityMeter(const std::string& model_directory, const ModelConfig& config, const Options& options)
    : options_(options) {
  check(options.windows, config);
  {
    Runtime meta(options.device.as_meta(), Runtime::kUnbounded);
    std::unique_ptr<Model> model = loaded(model_directory, config, options);
    Scorer scorer(options.windows, config.vocab_size);
    const int64_t persistent = meta.arena.use().reserved;
    const WindowBatch blank = blank_batch(options.windows);
    scorer.load(blank);
    pass_ = rehearse([&] { model->forward(scorer); });
    memory_ = std::max(persistent, meta.arena.kept_end() + pass_.placement.reserved);
  }
  require(memory_ <= options.memory, "scoring needs ", format_bytes(memory_), " but ", format_bytes(options.memory),
          " are available here; try a smaller --batch or --window\n", table_of(pass_.at_peak));
  runtime_ = std::make_unique<Runtime>(options.device, memory_);
  model_ = loaded(model_directory, config, options);
  scorer_ = std::make_unique<Scorer>(options.windows, config.vocab_size);
}

PerplexityMeter::~PerplexityMeter() = default;

const Arena& PerplexityMeter::arena() const { return runtime_->arena; }

Perplexity PerplexityMeter::measure(TokenSource& source, const std::function<int64_t(int32_t)>& text_bytes,
                                    const std::function<void(int64_t tokens)>& progress) {
  auto start = std::chrono::steady_clock::now();
  Windows windows(source, options_.windows);
  Perplexity result;
  WindowBatch batch;
  while (windows.next(batch)) {
    scorer_->load(batch);
    replay(pass_.placement, [&] { result.nats += read_value<float>(model_->forward(*scorer_)).value(); });
    result.tokens += int64_t(batch.targets.size());
    if (progress) progress(result.tokens);
  }
  require(result.tokens > 0, "the text has no token that could be predicted: a model without a start token needs two");
  result.bytes = windows.bytes();
  result.documents = windows.documents();
  for (int32_t token : windows.unpredicted()) result.bytes -= text_bytes(token);
  result.unpredicted = int64_t(windows.unpredicted().size());
  result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return result;
}

}  // namespace lathe::eval
