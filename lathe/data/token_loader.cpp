#include "lathe/data/token_loader.h"

#include "lathe/base/error.h"
#include "lathe/base/prefetcher.h"
#include "lathe/data/batch_source.h"

namespace lathe::data {

/// The batches of a run and the thread that makes them.
class TokenLoader::Producer {
 public:
  Producer(const std::vector<WeightedCorpus>& corpora, const LoaderOptions& options)
      : source(corpora, options),
        batches("data", options.prefetch, [this, number = options.first_step * options.micro_batches]() mutable {
          return std::optional(source.make(number++));
        }) {}

  BatchSource source;
  Prefetcher<Batch> batches;
  int64_t taken = 0;
};

TokenLoader::TokenLoader(const std::vector<WeightedCorpus>& corpora, const LoaderOptions& options) {
  require(options.prefetch >= 1, "data: prefetch is ", options.prefetch, "; it must be at least 1");
  producer_ = std::make_unique<Producer>(corpora, options);
}
TokenLoader::~TokenLoader() = default;

Batch TokenLoader::next() {
  std::optional<Batch> batch = producer_->batches.next();
  if (!batch) throw InternalError("the loader has no end, but ended");
  ++producer_->taken;
  return std::move(*batch);
}

double TokenLoader::waited_seconds() const { return producer_->batches.waited_seconds(); }
int64_t TokenLoader::batches() const { return producer_->taken; }
int64_t TokenLoader::windows_per_epoch(int corpus) const { return producer_->source.windows_per_epoch(corpus); }
double TokenLoader::steps_per_epoch() const { return producer_->source.steps_per_epoch(); }
std::string TokenLoader::describe(const Batch& batch) const { return producer_->source.describe(batch); }

}  // namespace lathe::data
