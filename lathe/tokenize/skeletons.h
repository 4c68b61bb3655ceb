#pragma once

#include <optional>
#include <string>
#include <vector>

#include "lathe/tokenize/parts.h"

namespace lathe::tokenize {

/// tokenizer.json texts for read_skeleton().

/// BERT's. Where the file does not say: lower case unless a piece has a capital letter; accents go with capitals.
struct WordPieceOptions {
  std::optional<bool> lowercase, strip_accents;
  bool split_chinese = true;
  std::string unknown = "[UNK]", begin = "[CLS]", end = "[SEP]";  // of texts
  std::vector<AddedToken> added;                                  // empty: [PAD], [UNK], [CLS], [SEP], [MASK]
};
std::string word_piece_skeleton(const Vocabulary& vocabulary, const WordPieceOptions& options = {});

/// What SentencePiece's files say besides their pieces.
struct SentencePieceOptions {
  bool unigram = true;  // else BPE
  bool byte_fallback = false;
  bool add_dummy_prefix = true;  // a space in front
  /// How a Metaspace puts that space where there is none: "first" before a whole text alone, "always" behind added
  /// tokens too; empty: the normalizer puts it before every piece of text, as SentencePiece does.
  std::string prepend_scheme;
  bool remove_extra_whitespaces = true;
  std::string charsmap;
  std::optional<TokenId> unknown;
  std::vector<AddedToken> added;
  std::vector<TokenId> before, after;  // put around a text
};
std::string sentencepiece_skeleton(const SentencePieceOptions& options, const Vocabulary& vocabulary);

/// Byte-level BPE. `pre_tokenizer` and the others that end so are JSON.
struct ByteLevelOptions {
  std::string pre_tokenizer, normalizer = "null";
  std::string post_processor = "";  // empty: `before` and `after` go around texts
  bool whole_words_first = false;
  std::vector<AddedToken> added;
  std::vector<TokenId> before, after;
};
/// {"type":"RobertaProcessing",...}: <s> text </s>, and <s> text </s></s> text </s> of two.
std::string roberta_processor(const Vocabulary& vocabulary, const std::string& begin, const std::string& end,
                              bool add_prefix_space);
std::string byte_level_skeleton(const ByteLevelOptions& options, const Vocabulary& vocabulary);

/// {"type":"Sequence",...} of a Split at each expression, isolated, and ByteLevel.
std::string split_then_bytes(const std::vector<std::string>& expressions);

/// (?i:'s|...)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ... : cl100k's with this many digits.
std::string cl100k_expression(int digits);

}  // namespace lathe::tokenize
