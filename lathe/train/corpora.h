#pragma once

#include <memory>
#include <string>
#include <vector>

#include "lathe/data/token_loader.h"
#include "lathe/train/job.h"

namespace lathe {

/// Batches that a job's loader makes ahead.
int64_t loader_prefetch(const JobSettings& job);

/// The token shards of a job: what it trains on and what it is measured on. Keeps the files mapped.
class Corpora {
 public:
  /// Throws Error when shards are missing, were made with different tokenizers or with another than the job's, or hold
  /// a token that the model's vocabulary lacks.
  explicit Corpora(const JobSettings& job);

  /// Training batches from step `first_step` (from 0) on. The corpora must outlive the loader.
  data::TokenLoader loader(const JobSettings& job, int64_t first_step) const;
  /// The held-out parts, in rows of the job's length; none where nothing is held out.
  const std::vector<data::HeldOutStream>& held_out() const { return held_out_; }
  /// The directory that tokenizer files are copied from.
  std::string tokenizer_directory() const;

 private:
  std::vector<std::unique_ptr<data::TokenShards>> shards_;
  std::vector<data::WeightedCorpus> weighted_;
  std::vector<data::HeldOutStream> held_out_;
};

}  // namespace lathe
