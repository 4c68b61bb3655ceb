#pragma once

#include <optional>
#include <set>

#include "lathe/infer/cached_pass.h"
#include "lathe/infer/encoding_pass.h"
#include "lathe/nn/module.h"
#include "lathe/tensor/graphs.h"
#include "lathe/tensor/rehearse.h"

namespace lathe {

/// How much a Decoder can hold and do at once.
struct DecoderLimits {
  int64_t sequences = 1;    ///< at a time
  int64_t length = 0;       ///< tokens a sequence
  int64_t step_tokens = 0;  ///< new tokens in one step, of all sequences; at least `sequences`
  /// Of an encoder-decoder: texts that sequences are written about, at a time; tokens of each; and of all that one step
  /// reads, at least as many.
  int64_t sources = 0, source_length = 0, step_source_tokens = 0;
};

/// A text that an encoder reads before sequences are written about it.
struct Source {
  int64_t number;  ///< below DecoderLimits::sources; Feed::memory
  std::span<const uint32_t> tokens;
};

/// A model with a cache, on the current Runtime, real or meta. Its constructor takes all bytes that persist besides the
/// weights; step() is an episode, which makes the same allocations every time, none larger than in largest_step(), so
/// that a step can be rehearsed on a meta Runtime and replayed at those places. One thread.
class Decoder {
 public:
  /// `model` has its bytes, for use or in training, in `dtype`, and must outlive it, as must `graphs`. With graphs,
  /// steps of a token a sequence are launched as such on a GPU, and each must be an episode of its own.
  Decoder(Model& model, const ModelConfig& config, DType dtype, const DecoderLimits& limits, Graphs* graphs = nullptr);

  /// Appends `feeds`, each to another sequence, and gives the logits [feeds, vocab_size] that follow the last token of
  /// each to `use`.
  void step(std::span<const Feed> feeds, const std::function<void(const Tensor& logits)>& use);
  void largest_step();
  /// The token of the highest of the first `vocabulary` logits of each of the last step's `feeds`, i32 [feeds]; -1
  /// where logits are no numbers. Until the next step.
  Tensor likeliest(int64_t feeds, int64_t vocabulary);
  /// Whether step_on() can follow a step of `feeds`, one token each: on a GPU, once that is a graph.
  bool can_step_on(int64_t feeds) const { return graphs_ && graphs_->captured(feeds) && !memory_; }
  /// The step that feeds each of the `feeds` of the last one, one token each, what likeliest() found behind it. The
  /// host need not know it yet.
  void step_on(int64_t feeds);
  /// A step before which the encoder reads `sources`, of which nothing was known, and after which their memory stays:
  /// an episode of its own kind, the largest of which is largest_start().
  void start(std::span<const Source> sources, std::span<const Feed> feeds,
             const std::function<void(const Tensor& logits)>& use);
  void largest_start();
  /// Forgets the tokens of `sequence`.
  void clear(int64_t sequence) { cache_.clear(sequence); }
  /// Makes sequence `to` what `from` is.
  void copy_sequence(int64_t from, int64_t to) { cache_.copy_sequence(from, to); }
  /// Forgets all but the first `tokens` of `sequence`.
  void truncate(int64_t sequence, int64_t tokens) { cache_.truncate(sequence, tokens); }

  const DecoderLimits& limits() const { return limits_; }
  int64_t vocabulary() const { return vocabulary_; }
  bool has_encoder() const { return memory_.has_value(); }

 private:
  void forward(int64_t feeds);
  void load(std::span<const Feed> feeds);
  void require_known(std::span<const uint32_t> tokens) const;
  std::vector<Feed> largest_feeds(const std::vector<uint32_t>& tokens) const;

  Model& model_;
  DecoderLimits limits_;
  int64_t vocabulary_;
  KvCache cache_;
  std::optional<KvCache> memory_;
  std::optional<EncodingPass> encoding_;
  StepInputs inputs_;
  Tensor logits_;     ///< [sequences, columns of logits]
  Tensor likeliest_;  ///< i32 [sequences]
  CachedPass pass_;
  Graphs* graphs_;
  std::set<int64_t> decoded_;  ///< numbers of sequences of the decoding steps so far
};

/// What a meta run of a model in use showed.
struct InferencePlan {
  int64_t persistent = 0;       ///< bytes of the arena that are taken before the first step
  BytesByPurpose by_purpose{};  ///< the same, split
  Rehearsal step, start;        ///< start: of an encoder-decoder alone
  int64_t capacity = 0;         ///< bytes of the arena in all
};

/// Rehearses the use of a model as `device` would run it, without taking memory.
InferencePlan plan_inference(const ModelConfig& config, DType dtype, const DecoderLimits& limits, Device device = {});

/// The same of the model that `load` makes, with its bytes, on the current Runtime.
InferencePlan plan_inference(const std::function<std::unique_ptr<Model>()>& load, const ModelConfig& config,
                             DType dtype, const DecoderLimits& limits, Device device = {});

/// The table that is shown where the plan does not fit.
std::string memory_table(const InferencePlan& plan);

/// Throws Error with the table, and what would help, when the plan needs more than `budget` bytes.
void require_fits(const InferencePlan& plan, const DecoderLimits& limits, DType dtype, int64_t budget);

}  // namespace lathe
