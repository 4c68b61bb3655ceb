#pragma once

#include <cstdlib>
#include <string_view>

#include "lathe/tokenize/tokenizer.h"

namespace lathe {

/// Uses everything of a tokenizer; aborts where it breaks a promise.
inline void use_tokenizer(const Tokenizer& tokenizer, std::string_view text) {
  std::vector<TokenId> ids = tokenizer.encode_with_template(text);
  tokenizer.decode_text(ids);
  ids = tokenizer.encode(text);
  const std::string decoded = tokenizer.decode(ids);
  if (tokenizer.lossless() && tokenizer.added_tokens().empty() && decoded != text) std::abort();
  ids.clear();
  tokenizer.encode_ordinary(text, ids);
  if (tokenizer.lossless() && tokenizer.decode(ids) != text) std::abort();
  const Encoding pair = tokenizer.encode_pair(text, text, Truncation{.max_length = 1 << 20});
  if (pair.spans.size() != pair.ids.size() || pair.type_ids.size() != pair.ids.size()) std::abort();
  for (const TextSpan& span : pair.spans) {
    if (span.begin > span.end || span.end > text.size()) std::abort();
  }
}

}  // namespace lathe
