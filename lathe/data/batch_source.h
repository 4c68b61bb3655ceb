#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "lathe/data/row_filler.h"
#include "lathe/data/sample_order.h"
#include "lathe/data/token_loader.h"

namespace lathe::data {

/// The batches of a run as a function of their number: what TokenLoader makes ahead. One thread calls make().
class BatchSource {
 public:
  /// Throws Error as TokenLoader does.
  BatchSource(const std::vector<WeightedCorpus>& corpora, const LoaderOptions& options);

  /// Batch `number` of this rank, counted from the run's first step.
  Batch make(int64_t number);

  int64_t windows_per_epoch(int corpus) const { return orders_[static_cast<size_t>(corpus)].windows_per_epoch(); }
  double steps_per_epoch() const;
  std::string describe(const Batch& batch) const;

 private:
  int64_t rows_per_step() const { return options_.rows * options_.micro_batches * options_.ranks; }

  LoaderOptions options_;
  std::vector<const TokenSplit*> corpora_;
  std::vector<double> weights_;
  std::vector<WindowOrder> orders_;
  Mixture mixture_;
  RowFiller filler_;
};

}  // namespace lathe::data
