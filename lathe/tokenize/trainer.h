#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "lathe/tokenize/tokenizer.h"

namespace lathe {

/// What a tokenizer is made of, and how texts are cut into words before.
enum class TokenizerKind : uint8_t {
  gpt2,        // byte-level BPE, split as GPT-2 does
  cl100k,      // byte-level BPE, split as cl100k and LLaMA 3 do
  words_bpe,   // BPE inside words between whitespace, with an end-of-word mark
  words,       // whole words and punctuation
  characters,  // one token a character
  wordpiece,   // pieces of words as BERT has them
  unigram      // SentencePiece's probable pieces
};

/// The kind of this name (gpt2, cl100k, words-bpe, words, characters, wordpiece, unigram). Throws Error with the
/// nearest name.
TokenizerKind tokenizer_kind(std::string_view name);

/// The special tokens that models with a tokenizer of this kind usually have.
std::vector<std::string> usual_special_tokens(TokenizerKind kind);

struct TokenizerTraining {
  TokenizerKind kind = TokenizerKind::gpt2;
  int64_t vocabulary_size = 32000;  // special tokens and alphabet included
  int64_t minimum_frequency = 0;    // pairs (words, characters) seen less often are left out
  std::vector<std::string> special_tokens = {"<|endoftext|>"};  // get the first ids, in this order
  bool lower_case = true;                                       // wordpiece: without capitals and accents
  int threads = 0;                                              // 0: all of this machine
};

/// What counting has seen so far and what it costs.
struct CountedWords {
  int64_t bytes = 0, words = 0, distinct = 0, memory_bytes = 0;
};

/// Learns a tokenizer from texts of any total size: only distinct words and their counts are kept. For byte-level kinds
/// the merges are those of Hugging Face's BpeTrainer with ByteLevel's alphabet, ties broken alike. One thread calls it;
/// it uses several itself, and the result does not depend on how many.
class TokenizerTrainer {
 public:
  /// Throws Error when the vocabulary cannot hold the special tokens and the alphabet.
  explicit TokenizerTrainer(TokenizerTraining training);
  TokenizerTrainer(TokenizerTrainer&&) noexcept;
  ~TokenizerTrainer();

  /// Counts the words of these documents.
  void add(std::span<const std::string_view> documents);
  void add(std::string_view document);
  /// Counts a plain, .gz or .zst file as one document, a part of it in memory at a time.
  void add_file(const std::string& path);
  CountedWords counted() const;

  /// The tokenizer of what was added. Throws Error when nothing was.
  Tokenizer train() const;

 private:
  class Counts;
  TokenizerTraining training_;
  std::unique_ptr<Counts> counts_;
};

}  // namespace lathe
