#pragma once

#include <functional>
#include <string>
#include <unordered_map>
#include <vector>

#include "lathe/tokenize/json_fields.h"
#include "lathe/tokenize/packed_texts.h"
#include "lathe/tokenize/tokenizer.h"

namespace lathe::tokenize {

/// What a token is as text.
struct TokenText {
  std::string bytes;
  bool space_after = false;  // between it and what follows
};

/// The text of all tokens, by id.
struct TokenTexts {
  PackedTexts bytes;
  std::vector<bool> space_after, special;
  std::unordered_map<TokenId, std::string> in_front;  // bytes of those that differ at the beginning of a text
  bool once_in_a_row = false;                         // a token that repeats the one before it is left out (CTC)
};

/// A decoder of tokenizer.json, as what it makes of each token on its own.
class TokenDecoder {
 public:
  /// Reads decoder; `file` may have none. Throws Error, naming it, for a kind that is not built here.
  explicit TokenDecoder(const JsonFields& file);

  /// What `spelling` becomes, in front of a text or later.
  TokenText text_of(std::string_view spelling, bool in_front) const;

  /// Whether tokens in front of a text may differ.
  bool minds_the_front() const { return minds_the_front_; }
  bool gives_bytes() const { return gives_bytes_; }
  bool once_in_a_row() const { return once_in_a_row_; }
  /// The same text for decoders that do the same.
  const std::string& settings() const { return settings_; }

 private:
  using Step = std::function<void(TokenText&, bool in_front)>;
  void read(const JsonFields& fields);
  void read_strip(const JsonFields& fields);
  void read_replace(const JsonFields& fields);
  void read_metaspace(const JsonFields& fields);
  void read_ctc(const JsonFields& fields);

  std::vector<Step> steps_;
  bool any_ = false, fused_ = false, gives_bytes_ = false, once_in_a_row_ = false, minds_the_front_ = false;
  std::string settings_;
};

}  // namespace lathe::tokenize
