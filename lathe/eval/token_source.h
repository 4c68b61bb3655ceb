#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "lathe/data/corpus_reader.h"
#include "lathe/data/token_shards.h"
#include "lathe/tokenize/tokenizer.h"

namespace lathe::eval {

/// Consecutive tokens of one document, and the bytes of text they stand for.
struct TokenPiece {
  std::vector<int32_t> tokens;
  int64_t bytes = 0;
  bool ends_document = false;
};

/// The tokens that a model is measured on, in order. One thread.
class TokenSource {
 public:
  virtual ~TokenSource() = default;
  /// False at the end. Throws Error where the text cannot be read.
  virtual bool next(TokenPiece& piece) = 0;
  /// How many tokens there will be in all, as far as can be told: for progress.
  virtual int64_t expected_tokens() const = 0;
};

/// Documents of text files, directories and patterns, as data::find_text_files and data::CorpusReader read them.
class TextSource : public TokenSource {
 public:
  /// `tokenizer` must outlive it. `separator` comes between documents, where given. `options` may not skip documents
  /// that are not UTF-8: their first part would be scored before it is known.
  TextSource(const std::vector<std::string>& inputs, const data::ReadOptions& options, const Tokenizer& tokenizer,
             std::optional<TokenId> separator);
  bool next(TokenPiece& piece) override;
  int64_t expected_tokens() const override;

 private:
  data::CorpusReader reader_;
  const Tokenizer& tokenizer_;
  std::optional<TokenId> separator_;
  data::TextChunk chunk_;
  size_t given_ = 0;      ///< pieces of chunk_
  bool between_ = false;  ///< a document has ended and another follows if there is more
  int64_t tokens_ = 0;
};

/// The held-out part of prepared token shards, the end-of-text tokens after its documents included. They must outlive
/// it.
class HeldOutSource : public TokenSource {
 public:
  explicit HeldOutSource(const data::TokenShards& shards) : shards_(shards) {}
  bool next(TokenPiece& piece) override;
  int64_t expected_tokens() const override { return shards_.held_out().tokens(); }

 private:
  const data::TokenShards& shards_;
  int64_t document_ = 0, token_ = 0;
};

}  // namespace lathe::eval
