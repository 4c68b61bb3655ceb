#include "lathe/cli/training_samples.h"

#include <memory>

#include "lathe/data/token_shards.h"
#include "lathe/infer/generator.h"
#include "lathe/infer/model_directory.h"

namespace lathe::cli {
namespace {

std::string tokenizer_path(const JobSettings& job) {
  if (!job.tokenizer.path.empty()) return job.tokenizer.path;
  return data::TokenShards(job.data.corpora.front().path).tokenizer_path();
}

/// All prompts are in the first step, and in every step after it: one that ends early makes later steps smaller than
/// rehearsed, never larger.
class TrainingSamples {
 public:
  explicit TrainingSamples(const JobSettings& job)
      : job_(job), tokenizer_(Tokenizer::load(tokenizer_path(job))), ends_(end_tokens(tokenizer_, job.model)) {
    for (const std::string& prompt : job.sample.prompts) prompts_.push_back(prompt_tokens(tokenizer_, prompt));
    limits_ =
        limits_for(prompts_, job.sample.max_new_tokens, job.model.max_position_embeddings, int64_t(prompts_.size()));
    limits_.step_tokens = 0;
    for (const std::vector<TokenId>& prompt : prompts_)
      limits_.step_tokens += std::min(int64_t(prompt.size()), Generator::kChunk);
  }

  std::vector<std::string> write(Trainer& trainer, int64_t step) const {
    Decoder decoder(trainer.model(), job_.model, job_.compute(), limits_);
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
  std::vector<std::vector<TokenId>> prompts_;
  DecoderLimits limits_;
};

}  // namespace

SampleHook training_samples(const JobSettings& job) {
  if (job.sample.every == 0 || job.sample.prompts.empty() || job.data.corpora.empty()) return nullptr;
  auto samples = std::make_shared<const TrainingSamples>(job);
  return [samples](Trainer& trainer, int64_t step) { return samples->write(trainer, step); };
}

}  // namespace lathe::cli
