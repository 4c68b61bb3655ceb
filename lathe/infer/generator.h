#pragma once

#include <functional>
#include <string>
#include <vector>

#include "lathe/infer/decoder.h"
#include "lathe/infer/sampler.h"
#include "lathe/tokenize/tokenizer.h"

namespace lathe {

struct GenerationOptions {
  SamplingOptions sampling;
  int64_t max_new_tokens = 128;
  std::vector<std::string> stop;  ///< strings that end a text, not shown themselves
  /// Of an encoder-decoder: what texts begin with, not shown; the first token behind that, and the last of the longest
  /// text, where they are given.
  TokenId start_token = 0;
  int64_t forced_bos_token_id = -1, forced_eos_token_id = -1;
};

enum class Finish : uint8_t { end_token, stop_string, length, context, interrupted };
const char* name_of(Finish finish);

/// What was written after one prompt.
struct Generated {
  std::string text;             ///< valid UTF-8, without special tokens
  std::vector<TokenId> tokens;  ///< with the one that ended it
  Finish finish = Finish::length;
  double seconds = 0;         ///< from the prompt's first step to the end
  double prompt_seconds = 0;  ///< of these, until the first token was chosen
  int64_t prompt_tokens = 0;  ///< that were computed: not those that resume() found in the cache
};

/// What the caller of a Generator adds; all may be null.
struct GenerationHooks {
  std::function<void(size_t prompt, const std::string& piece)> on_text;  ///< as it comes, in whole characters
  std::function<void(size_t prompt, const Generated& result)> on_finish;
  std::function<bool()> stop;                                        ///< asked before each step: end everything
  std::function<void(const std::function<void()>& step)> run_step;   ///< runs an episode; null: as part of another
  std::function<void(const std::function<void()>& step)> run_start;  ///< the same of a step in which an encoder reads
};

/// Writes texts after prompts, or where the decoder has an encoder about the texts that prompts are: as many at a time
/// as the decoder holds, the next as soon as one is done. What a sequence becomes does not depend on the others, to the
/// bit; on a GPU where steps have at most 32 tokens: for more, as with a prompt in them, a library chooses how to
/// multiply by how many there are. One thread.
class Generator {
 public:
  static constexpr int64_t kChunk = 512;        ///< tokens of one prompt in a step; cut by the prompt's own positions
  static constexpr int64_t kStepTokens = 4096;  ///< of all prompts

  /// `decoder` and `tokenizer` must outlive it. Throws Error for options out of range.
  Generator(Decoder& decoder, const Tokenizer& tokenizer, std::vector<TokenId> end_tokens, GenerationOptions options);

  /// One result a prompt, in their order. Prompt n draws from random stream n. On a meta Runtime, where no token is
  /// known, every text has its full length. Throws Error, before anything runs, for a prompt that does not fit.
  std::vector<Generated> run(std::span<const std::vector<TokenId>> prompts, const GenerationHooks& hooks = {});

  /// As run() for one prompt, but the cache keeps prompt and text: what the next prompt shares with them from its start
  /// on is not computed again. Gives the same bits as run().
  Generated resume(const std::vector<TokenId>& prompt, const GenerationHooks& hooks = {});

  /// Tokens that a prompt and its text may have together.
  int64_t context() const { return decoder_.limits().length; }

 private:
  friend class Generation;
  void require_fits(std::span<const std::vector<TokenId>> prompts) const;
  Decoder& decoder_;
  const Tokenizer& tokenizer_;
  std::vector<TokenId> end_tokens_;
  GenerationOptions options_;
  std::vector<TokenId> held_;  ///< what the cache holds of sequence 0 since resume()
};

/// The decoder that suits such prompts: as many sequences at a time as `batch` allows, each with room for its longest
/// prompt and text, up to `context`. Throws Error naming the prompt that leaves no room for a token.
DecoderLimits limits_for(std::span<const std::vector<TokenId>> prompts, int64_t max_new_tokens, int64_t context,
                         int64_t batch);

/// The same for the texts that an encoder reads, which leave room for texts of any length up to `context`.
DecoderLimits limits_for_sources(std::span<const std::vector<TokenId>> sources, int64_t max_new_tokens, int64_t context,
                                 int64_t batch);

}  // namespace lathe
