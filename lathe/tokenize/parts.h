#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "lathe/tokenize/added_tokens.h"
#include "lathe/tokenize/model_tables.h"
#include "lathe/tokenize/post_processor.h"
#include "lathe/tokenize/text_encoder.h"
#include "lathe/tokenize/token_text.h"
#include "lathe/tokenize/tokenizer.h"

namespace lathe {

/// What a tokenizer consists of, filled by the reader of tokenizer.json and then unchanged.
struct Tokenizer::Parts {
  uint64_t number = 0;  // tells tokenizers of this process apart
  std::string kind, hash;
  tokenize::Vocabulary vocabulary;  // of the model and the added tokens
  std::vector<AddedToken> added;    // addresses are kept: not changed after finders were filled
  tokenize::AddedTokenFinder in_raw_text;
  tokenize::TextEncoder encoder;
  bool lossless = false;
  tokenize::TokenTexts decoded;
  tokenize::PostProcessor post;
  std::optional<TokenId> begin, end, unknown, pad, mask, cls, sep;

  /// The file as it was read; or, empty until it is asked for, made of `skeleton` (see read_skeleton()) and tables.
  mutable std::string json;
  mutable std::once_flag json_made;
  std::string skeleton;
  size_t model_tokens = 0;                   // of the vocabulary, those that are the model's
  std::vector<tokenize::TokenMerge> merges;  // of a skeleton's BPE, by rank
  std::vector<double> scores;                // of a skeleton's Unigram, by id
};

namespace tokenize {

/// Appends the ids of `text` with its added tokens.
void encode_segments(const Tokenizer::Parts& parts, std::string_view text, Edges edges, std::vector<TokenId>& ids);

/// The ids of `text` with its added tokens, and where they come from.
TokenSpans encode_with_spans(const Tokenizer::Parts& parts, std::string_view text);

/// Everything of a tokenizer.json; `name` is how errors call it.
std::unique_ptr<Tokenizer::Parts> read_tokenizer_json(std::string_view json, const std::string& name);

/// A tokenizer whose tables come from elsewhere. `skeleton` is a tokenizer.json without model.vocab and model.merges
/// that ends with the two braces which close the model and the file.
std::unique_ptr<Tokenizer::Parts> read_skeleton(std::string skeleton, ModelTables tables, const std::string& name);

/// The tokenizer.json of what read_skeleton() made.
std::string completed_skeleton(const Tokenizer::Parts& parts);

/// Takes begin, end and other tokens as the files beside a tokenizer name them; what they do not say stays.
void name_tokens(const struct VocabularySettings& settings, Tokenizer::Parts& parts);
/// The same of a bare vocabulary, which has the usual ones where no file says another.
void name_usual_tokens(const VocabularySettings& settings, const std::vector<struct UsualToken>& usual,
                       Tokenizer::Parts& parts);

/// A tokenizer_config.json that lets transformers open the directory.
std::string tokenizer_config_json(const Tokenizer::Parts& parts);

}  // namespace tokenize
}  // namespace lathe
