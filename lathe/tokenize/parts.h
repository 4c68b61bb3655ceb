#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "lathe/tokenize/added_tokens.h"
#include "lathe/tokenize/splitter.h"
#include "lathe/tokenize/tokenizer.h"
#include "lathe/tokenize/vocabulary.h"
#include "lathe/tokenize/word_model.h"

namespace lathe {

/// What a tokenizer consists of, filled by the reader of tokenizer.json and then unchanged.
struct Tokenizer::Parts {
  /// How tokens become text: the bytes of one, and whether a space stands between it and what follows.
  struct Decoded {
    std::string bytes;
    bool space_after = false;
    bool special = false;
  };

  uint64_t number = 0;  // tells tokenizers of this process apart
  std::string json, kind, hash;
  tokenize::Vocabulary vocabulary;            // of the model and the added tokens
  std::vector<AddedToken> added;              // addresses are kept: not changed after finders were filled
  std::vector<std::string> added_normalized;  // their contents, normalized
  tokenize::AddedTokenFinder in_raw_text, in_normalized_text;
  bool compose = false;           // NFC
  bool space_in_front = false;    // "add_prefix_space"
  bool replaces_invalid = false;  // what is no UTF-8 is read as U+FFFD
  bool lossless = false;
  std::unique_ptr<tokenize::Splitter> splitter;
  std::unique_ptr<tokenize::WordModel> model;
  std::vector<Decoded> decoded;        // by id
  std::vector<TokenId> before, after;  // what the template puts around a sequence
  std::optional<TokenId> begin, end, unknown;
};

namespace tokenize {

/// Unicode's canonical composition (NFC) of `text`; bytes that are not UTF-8 stay.
std::string composed(std::string_view text);

/// Appends the ids of `text`, in which no added token is looked for.
void encode_words(const Tokenizer::Parts& parts, std::string_view text, std::vector<TokenId>& ids);

/// Appends the ids of `text` with its added tokens.
void encode_segments(const Tokenizer::Parts& parts, std::string_view text, std::vector<TokenId>& ids);

/// Everything of a tokenizer.json; `name` is how errors call it.
std::unique_ptr<Tokenizer::Parts> read_tokenizer_json(std::string_view json, const std::string& name);

/// Names of begin, end and unknown tokens, from the text of a tokenizer_config.json; what it does not say stays.
void read_tokenizer_config(std::string_view json, const std::string& name, Tokenizer::Parts& parts);

/// A tokenizer_config.json that lets transformers open the directory.
std::string tokenizer_config_json(const Tokenizer::Parts& parts);

/// A tokenizer.json from the two files that GPT-2 was published as.
std::string join_vocabulary_and_merges(std::string_view vocabulary_json, std::string_view merges,
                                       const std::string& name);

}  // namespace tokenize
}  // namespace lathe
