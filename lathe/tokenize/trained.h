#pragma once

#include <string>
#include <utility>
#include <vector>

#include "lathe/tokenize/splitter.h"
#include "lathe/tokenize/text_encoder.h"
#include "lathe/tokenize/trainer.h"

namespace lathe::tokenize {

/// What training found, enough to write a tokenizer.json.
struct Trained {
  TokenizerKind kind;
  std::vector<std::string> special_tokens;  // the first ids
  std::vector<std::string> tokens;          // by id, spelt as in the file
  std::vector<std::pair<TokenId, TokenId>> merges;
  std::vector<double> scores;  // unigram: by id
  bool lower_case = true;      // wordpiece
};

/// The token that stands for what the vocabulary lacks, in the kinds that need one.
constexpr const char* unknown_token_of(TokenizerKind kind) {
  return kind == TokenizerKind::wordpiece ? "[UNK]" : "<unk>";
}
/// What words_bpe puts behind the last symbol of a word.
constexpr const char* kWordEnd = "</w>";

/// What wordpiece puts before pieces inside a word.
constexpr const char* kInsidePrefix = "##";

/// Byte-level kinds take any bytes as they are.
inline bool is_byte_level(TokenizerKind kind) { return kind == TokenizerKind::gpt2 || kind == TokenizerKind::cl100k; }

/// The splitter whose words training counts; null for kinds that rewrite text first.
std::unique_ptr<Splitter> training_splitter(TokenizerKind kind);

/// What rewrites and splits text for those.
std::unique_ptr<TextEncoder> training_pipeline(TokenizerKind kind, bool lower_case);

/// A tokenizer.json that lathe and Hugging Face's tokenizers read alike.
std::string trained_json(const Trained& trained);

}  // namespace lathe::tokenize
