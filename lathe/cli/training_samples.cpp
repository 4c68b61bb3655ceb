#include "lathe/cli/training_samples.h"

#include <algorithm>
#include <filesystem>
#include <memory>

#include "lathe/base/log.h"
#include "lathe/data/token_shards.h"
#include "lathe/infer/generator.h"
#include "lathe/infer/model_directory.h"

namespace lathe::cli {
namespace {

using Prompts = std::vector<std::vector<TokenId>>;

bool wants_samples(const JobSettings& job) {
  return job.sample.every > 0 && !job.sample.prompts.empty() && !job.data.corpora.empty();
}

/// The tokenizer, or the shards that hold it.
const std::string& tokenizer_source(const JobSettings& job) {
  return job.tokenizer.path.empty() ? job.data.corpora.front().path : job.tokenizer.path;
}

std::string tokenizer_path(const JobSettings& job) {
  const std::string& source = tokenizer_source(job);
  return job.tokenizer.path.empty() ? data::TokenShards(source).tokenizer_path() : source;
}

/// All prompts are in the first step, and in every step after it: one that ends early makes later steps smaller than
/// rehearsed, never larger.
DecoderLimits sample_limits(const JobSettings& job, const Prompts& prompts) {
  DecoderLimits limits =
      limits_for(prompts, job.sample.max_new_tokens, job.model.max_position_embeddings, int64_t(prompts.size()));
  limits.step_tokens = 0;
  for (const std::vector<TokenId>& prompt : prompts)
    limits.step_tokens += std::min(int64_t(prompt.size()), Generator::kChunk);
  return limits;
}

/// No prompt has more tokens than bytes, but for the one that begins it.
Prompts longest_prompts(const JobSettings& job) {
  Prompts prompts;
  for (const std::string& prompt : job.sample.prompts)
    prompts.emplace_back(std::min(prompt.size() + 1, size_t(job.model.max_position_embeddings) - 1));
  return prompts;
}

class TrainingSamples {
 public:
  explicit TrainingSamples(const JobSettings& job)
      : job_(job), tokenizer_(Tokenizer::load(tokenizer_path(job))), ends_(end_tokens(tokenizer_, job.model)) {
    for (const std::string& prompt : job.sample.prompts) prompts_.push_back(prompt_tokens(tokenizer_, prompt));
    limits_ = sample_limits(job, prompts_);
  }

  std::vector<std::string> write(Trainer& trainer, int64_t step) const {
    Decoder decoder(trainer.model(), job_.model, trainer.job().compute(), limits_);
    GenerationOptions options{.max_new_tokens = job_.sample.max_new_tokens};
    options.sampling.temperature = job_.sample.temperature;
    options.sampling.top_p = job_.sample.top_p;
    options.sampling.seed = job_.training.seed + uint64_t(step);
    std::vector<std::string> texts;
    for (Generated& result : Generator(decoder, tokenizer_, ends_, options).run(prompts_))
      texts.push_back(std::move(result.text));
    return texts;
  }

 private:
  JobSettings job_;
  Tokenizer tokenizer_;
  std::vector<TokenId> ends_;
  Prompts prompts_;
  DecoderLimits limits_;
};

}  // namespace

SampleHook training_samples(const JobSettings& job) {
  if (!wants_samples(job)) return nullptr;
  auto samples = std::make_shared<const TrainingSamples>(job);
  return [samples](Trainer& trainer, int64_t step) { return samples->write(trainer, step); };
}

SampleHook planned_samples(const JobSettings& job) {
  if (!wants_samples(job) || std::filesystem::exists(tokenizer_source(job))) return training_samples(job);
  log_info(tokenizer_source(job), " is not there yet, so the samples' prompts count as a token a byte");
  DecoderLimits limits = sample_limits(job, longest_prompts(job));
  return [limits](Trainer& trainer, int64_t) -> std::vector<std::string> {
    Decoder(trainer.model(), trainer.job().model, trainer.job().compute(), limits).largest_step();
    return {};
  };
}

}  // namespace lathe::cli
