#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "lathe/data/batch.h"
#include "lathe/data/token_shards.h"

namespace lathe::data {

/// A corpus of a run and how often it is drawn.
struct WeightedCorpus {
  const TokenShards* shards = nullptr;
  double weight = 0;  // share of the rows, relative to the others; 0 for all: by their sizes
};

struct LoaderOptions {
  int64_t sequence_length = 0;
  int64_t rows = 1;           // of a batch
  int64_t micro_batches = 1;  // of a step, on this rank
  int rank = 0;
  int ranks = 1;
  Packing packing = Packing::concatenated;
  uint64_t seed = 0;
  int64_t first_step = 0;  // the step to go on from
  int64_t prefetch = 4;    // batches made ahead
};

/// Training batches without end, made ahead by a thread of its own. Which rows step s holds follows from the corpora,
/// sequence_length, the rows of a whole step (over ranks and micro-batches), packing and seed alone: the state to
/// resume from is the step number, and another split of the step into micro-batches or ranks holds the same rows.
/// One thread calls next(). The shards must outlive it.
class TokenLoader {
 public:
  /// Throws Error when a corpus is shorter than one sequence, a weight is missing, or an option is out of range.
  TokenLoader(const std::vector<WeightedCorpus>& corpora, const LoaderOptions& options);
  ~TokenLoader();

  /// The next batch: micro-batches of a step in order, then the next step. Throws Error when a shard is damaged.
  Batch next();

  /// Seconds that next() had to wait for a batch, and how many batches it gave.
  double waited_seconds() const;
  int64_t batches() const;

  /// Rows that go once through corpus `corpus`.
  int64_t windows_per_epoch(int corpus) const;
  /// Steps after which every corpus has been read at least once.
  double steps_per_epoch() const;

  /// Where a batch came from, for a message: corpora, documents and tokens of each row.
  std::string describe(const Batch& batch) const;

 private:
  class Producer;
  std::unique_ptr<Producer> producer_;
};

/// The held-out part of a corpus, in order: every token is a target exactly once (with Packing::document all but the
/// first of each document, which nothing precedes). The first token is predicted from the end-of-document token where
/// the tokenizer has one. Every batch has the full shape; filler at the end has ignored targets. Not prefetched.
/// The shards must outlive it.
class HeldOutStream {
 public:
  /// Throws Error when the corpus has no held-out part or an option is out of range.
  HeldOutStream(const TokenShards& shards, int64_t sequence_length, int64_t rows, Packing packing);

  int64_t batches() const;
  /// Batch `number`, from 0. Throws Error when a shard is damaged.
  Batch batch(int64_t number) const;
  /// Bytes of text that all targets together stand for: for bits per byte.
  int64_t bytes() const;

 private:
  const TokenShards& shards_;
  int64_t sequence_length_;
  int64_t rows_;
  Packing packing_;
  int64_t begin_;  // -1 where the end-of-document token goes before the first
};

}  // namespace lathe::data
