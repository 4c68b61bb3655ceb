#pragma once

#include <array>
#include <functional>
#include <memory>
#include <string_view>
#include <vector>

#include "lathe/tokenize/added_tokens.h"
#include "lathe/tokenize/normalizer.h"
#include "lathe/tokenize/splitter.h"
#include "lathe/tokenize/word_model.h"

namespace lathe::tokenize {

/// A step of a pre-tokenizer: each piece of text is rewritten, then split. Either may be absent.
struct PreTokenizerStep {
  NormalizerPointer rewrite;
  std::unique_ptr<Splitter> split;
  bool only_start = false;  // what `rewrite` puts in front stands in front of the text only, not of every piece
};

/// Where the tokens of a text come from.
struct TokenSpans {
  std::vector<TokenId> ids;
  std::vector<Span> spans;  // bytes of the text
};

/// From text to ids, less the added tokens that are found in raw text: normalizer, added tokens in normalized text,
/// pre-tokenizer, model. Words, or where the text may be cut before its spaces such stretches of raw text, are encoded
/// once and then found in a cache. Filled by a reader, then prepared and unchanged; any thread may use it.
class TextEncoder final : private WordModel {
 public:
  NormalizerPointer normalizer;  // may be null
  std::vector<PreTokenizerStep> steps;
  std::unique_ptr<WordModel> model;
  AddedTokenFinder in_normalized_text;
  std::vector<std::string> normalized_patterns;  // what that looks for
  bool takes_bytes = false;                      // what is no UTF-8 is not read as U+FFFD

  /// Decides how to encode. `number` tells tokenizers of this process apart.
  void prepare(uint64_t number);

  /// Appends the ids of a stretch of text. Without `finds_added` added tokens are text like any other.
  void encode(std::string_view text, Edges edges, bool finds_added, std::vector<TokenId>& ids) const;
  /// The same with where they come from; `text` begins at byte `offset` of the text that spans point into.
  void encode_tracked(std::string_view text, size_t offset, Edges edges, TokenSpans& tokens) const;

  /// Calls use(word) for what the model gets of a stretch of text; needs no model.
  void each_word(std::string_view text, const std::function<void(std::string_view)>& use) const;
  /// What the normalizer makes of `text`.
  std::string normalized(std::string_view text) const;
  /// True when texts may be cut as cut_text.h does, and parts be encoded on their own.
  bool may_cut() const { return may_cut_; }

 private:
  struct Pieces;
  void encode_word(std::string_view chunk, std::vector<TokenId>& ids) const override;
  void encode_spans(std::string_view, std::vector<TokenId>&, std::vector<size_t>&) const override;
  void encode_chunks(std::string_view text, Edges edges, bool finds_added, std::vector<TokenId>& ids) const;
  void encode_words(std::string_view text, std::vector<TokenId>& ids) const;
  size_t chunk_end(std::string_view text, size_t from) const;
  bool is_solid_before(std::string_view text, size_t at) const;
  Pieces pieces_of(const TrackedText& text, Edges edges) const;
  bool splits_before(char space) const;
  std::string words_of(std::string_view text, Edges edges) const;
  bool probes_agree(char space) const;
  void allow_cuts();
  template <class Use>
  void run(const TrackedText& text, Edges edges, bool finds_added, Use use) const;

  uint64_t number_ = 0;
  bool only_splits_ = false;  // no step rewrites
  bool by_chunks_ = false, may_cut_ = false;
  bool cuts_before_[2] = {};                   // at a space, at a line end
  std::array<bool, 256> cuts_behind_[2] = {};  // of these bytes
};

}  // namespace lathe::tokenize
