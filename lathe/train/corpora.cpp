#include "lathe/train/corpora.h"

#include <filesystem>

#include "lathe/tokenize/tokenizer.h"

namespace lathe {

int64_t loader_prefetch(const JobSettings& job) { return std::max<int64_t>(4, 2 * job.training.accumulation); }

Corpora::Corpora(const JobSettings& job) {
  require(!job.data.corpora.empty(), "the job names no corpus; add a [[data.corpus]] with the path of token shards");
  for (const CorpusSettings& corpus : job.data.corpora) {
    auto& shards = shards_.emplace_back(std::make_unique<data::TokenShards>(corpus.path));
    const auto& first = *shards_.front();
    shards->require_tokenizer(first.index().tokenizer_hash, first.directory() + "'s tokenizer");
    shards->require_vocabulary(job.model.vocab_size);
    weighted_.push_back({shards.get(), corpus.weight});
    if (shards->held_out().tokens() > 0)
      held_out_.emplace_back(*shards, job.training.sequence_length, job.training.micro_batch, job.data.packing);
  }
  if (job.tokenizer.path.empty()) return;
  Tokenizer tokenizer = Tokenizer::load(job.tokenizer.path);
  shards_.front()->require_tokenizer(tokenizer.hash(), job.tokenizer.path);
}

data::TokenLoader Corpora::loader(const JobSettings& job, int64_t first_step) const {
  return data::TokenLoader(weighted_, {.sequence_length = job.training.sequence_length,
                                       .rows = job.training.micro_batch,
                                       .micro_batches = job.training.accumulation,
                                       .packing = job.data.packing,
                                       .seed = job.training.seed,
                                       .first_step = first_step,
                                       .prefetch = loader_prefetch(job)});
}

std::string Corpora::tokenizer_directory() const {
  return std::filesystem::path(shards_.front()->tokenizer_path()).parent_path().string();
}

}  // namespace lathe
