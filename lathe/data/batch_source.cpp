#include "lathe/data/batch_source.h"

#include <algorithm>
#include <numeric>

#include "lathe/base/error.h"

namespace lathe::data {
namespace {

LoaderOptions checked(const LoaderOptions& options) {
  require(options.sequence_length >= 1, "data: sequence_length is ", options.sequence_length,
          "; it must be at least 1");
  require(options.rows >= 1 && options.micro_batches >= 1, "data: a step needs at least one row, not ", options.rows,
          " x ", options.micro_batches);
  require(options.rows <= INT32_MAX / options.sequence_length, "data: a batch of ", options.rows, " x ",
          options.sequence_length, " tokens is too large");
  require(options.ranks >= 1 && options.rank >= 0 && options.rank < options.ranks, "data: rank ", options.rank, " of ",
          options.ranks, " does not exist");
  require(options.first_step >= 0, "data: cannot start at step ", options.first_step);
  return options;
}

/// The weights as given, or the corpora's sizes where none is.
std::vector<double> weights_of(const std::vector<WeightedCorpus>& corpora) {
  std::vector<double> weights;
  for (const WeightedCorpus& corpus : corpora) weights.push_back(corpus.weight);
  const bool none = std::all_of(weights.begin(), weights.end(), [](double weight) { return weight == 0; });
  for (size_t i = 0; none && i < corpora.size(); ++i)
    weights[i] = static_cast<double>(std::max<int64_t>(corpora[i].shards->train().tokens(), 1));
  return weights;
}

}  // namespace

BatchSource::BatchSource(const std::vector<WeightedCorpus>& corpora, const LoaderOptions& options)
    : options_(checked(options)),
      weights_(weights_of(corpora)),
      mixture_(weights_, derive_key(options.seed, 0)),
      filler_(options.sequence_length, options.packing) {
  for (const WeightedCorpus& corpus : corpora) {
    const TokenSplit& split = corpus.shards->train();
    const uint64_t key = derive_key(options.seed, corpora_.size() + 1);
    orders_.emplace_back(split.tokens(), options.sequence_length, key, split.name());
    corpora_.push_back(&split);
  }
}

Batch BatchSource::make(int64_t number) {
  Batch batch = filler_.empty_batch(options_.rows);
  batch.step = number / options_.micro_batches;
  batch.micro_batch = number % options_.micro_batches;
  const int64_t block = (batch.step * options_.micro_batches + batch.micro_batch) * options_.ranks + options_.rank;
  for (int64_t row = block * options_.rows; row < (block + 1) * options_.rows; ++row) {
    const Mixture::Pick pick = mixture_.pick(row);
    const auto corpus = static_cast<size_t>(pick.corpus);
    const WindowOrder::Window window = orders_[corpus].window(pick.number);
    filler_.add(batch, *corpora_[corpus], {pick.corpus, window.first_token, window.epoch}, row);
  }
  filler_.finish(batch);
  return batch;
}

double BatchSource::steps_per_epoch() const {
  const double total = std::accumulate(weights_.begin(), weights_.end(), 0.0);
  double rows = 0;
  for (size_t i = 0; i < orders_.size(); ++i)
    rows = std::max(rows, static_cast<double>(orders_[i].windows_per_epoch()) * total / weights_[i]);
  return rows / static_cast<double>(rows_per_step());
}

std::string BatchSource::describe(const Batch& batch) const {
  std::string said = text("step ", batch.step, ", micro-batch ", batch.micro_batch, ":");
  for (const Batch::Row& row : batch.rows) {
    const TokenSplit& split = *corpora_[static_cast<size_t>(row.corpus)];
    const int64_t last = std::min(row.first_token + batch.sequence_length, split.tokens() - 1);
    said += text("\n  ", split.name(), ", epoch ", row.epoch, ", documents ", split.document_at(row.first_token),
                 " to ", split.document_at(last), ", tokens ", row.first_token, " to ", last);
  }
  return said;
}

}  // namespace lathe::data
