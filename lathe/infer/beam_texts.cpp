#include "lathe/infer/beam_texts.h"

#include <algorithm>
#include <chrono>

namespace lathe {

std::vector<Generated> beam_texts(Decoder& decoder, const Tokenizer& tokenizer, const std::vector<TokenId>& end_tokens,
                                  const BeamOptions& options, TokenId start_token,
                                  std::span<const std::vector<TokenId>> prompts, const GenerationHooks& hooks) {
  using Clock = std::chrono::steady_clock;
  BeamSearch search(decoder, std::min(decoder.vocabulary(), tokenizer.vocabulary_size()), end_tokens, options);
  auto run_step = [&](bool starts, const std::function<void()>& step) {
    const auto& run = starts ? hooks.run_start : hooks.run_step;
    run ? run(step) : step();
  };
  std::vector<Generated> results(prompts.size());
  for (size_t i = 0; i < prompts.size(); ++i) {
    Generated& result = results[i];
    auto start = Clock::now();
    std::vector<BeamResult> found = decoder.has_encoder()
                                        ? search.run(prompts[i], std::span(&start_token, 1), run_step, hooks.stop)
                                        : search.run({}, prompts[i], run_step, hooks.stop);
    result.seconds = std::chrono::duration<double>(Clock::now() - start).count();
    if (found.empty()) {
      result.finish = Finish::interrupted;
    } else {
      result.tokens = found.front().tokens;
      result.text = tokenizer.decode_text(result.tokens);
      bool ended = std::count(end_tokens.begin(), end_tokens.end(), result.tokens.back()) > 0;
      result.finish = ended ? Finish::end_token : Finish::length;
      if (hooks.on_text) hooks.on_text(i, result.text);
    }
    if (hooks.on_finish) hooks.on_finish(i, result);
  }
  return results;
}

DecoderLimits with_beams(DecoderLimits limits, int64_t beams) {
  limits.sequences = beams;
  if (limits.sources > 0) {
    limits.sources = 1;
    limits.step_tokens = beams;
    limits.step_source_tokens = limits.source_length;
  } else {
    limits.step_tokens = std::max(limits.length, beams);
  }
  return limits;
}

}  // namespace lathe
