#pragma once

#include "lathe/infer/beam_search.h"
#include "lathe/infer/generator.h"

namespace lathe {

/// As Generator::run(), but each text is the best that a beam search finds, and nothing is shown before it is whole.
/// `start_token`: what texts of an encoder-decoder begin with. Throws Error for options out of range.
std::vector<Generated> beam_texts(Decoder& decoder, const Tokenizer& tokenizer, const std::vector<TokenId>& end_tokens,
                                  const BeamOptions& options, TokenId start_token,
                                  std::span<const std::vector<TokenId>> prompts, const GenerationHooks& hooks = {});

/// The decoder that suits such a search: limits_for() or limits_for_sources() of one text, with room for the beams.
DecoderLimits with_beams(DecoderLimits limits, int64_t beams);

}  // namespace lathe
