#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "lathe/tokenize/encoding.h"

namespace lathe {

/// A token that is found in the text before the model splits it; fields as in tokenizer.json.
struct AddedToken {
  std::string content;
  TokenId id = 0;
  bool single_word = false;  // only where no word character stands beside it
  bool lstrip = false;       // takes the whitespace before it along
  bool rstrip = false;       // and behind it
  bool normalized = false;   // looked for in the normalized text
  bool special = false;      // not text: decode_text leaves it out
};

/// What kind of file a vocabulary stands in.
enum class TokenizerFormat : uint8_t { json, sentencepiece, tiktoken, word_pieces, gguf, vocabulary_and_merges };

/// Turns text into token ids and back, as the tokenizer.json it was made from says: byte-level BPE, SentencePiece's BPE
/// with byte fallback, BPE on words, WordPiece, Unigram, words, characters. Ids equal those of Hugging Face's
/// `tokenizers` on all valid UTF-8. Bytes that are not UTF-8 are symbols like others to byte-level kinds, which give
/// every text back unchanged; the other kinds read U+FFFD for them. Immutable; any number of threads may call
/// everything that is const.
class Tokenizer {
 public:
  /// A tokenizer.json, a SentencePiece .model, tiktoken ranks (.tiktoken), a vocab.txt of BERT, a GGUF file; or a
  /// directory with one of them (looked for in this order), or with vocab.json and merges.txt (as GPT-2 was published).
  /// The names of begin and end tokens come from the tokenizer_config.json beside it, otherwise from the file or from
  /// what models usually call them. Throws Error for what is malformed, naming where, and for kinds that are not built
  /// here.
  static Tokenizer load(const std::string& path);
  /// The same from what a file holds, one of those that stand alone (not vocabulary_and_merges); errors call it `name`.
  static Tokenizer parse(std::string_view content, const std::string& name,
                         TokenizerFormat format = TokenizerFormat::json);
  Tokenizer(Tokenizer&&) noexcept;
  Tokenizer& operator=(Tokenizer&&) noexcept;
  ~Tokenizer();

  /// Writes tokenizer.json, durably, to a path that ends in .json; else into the directory `path` (made when missing),
  /// together with the tokenizer_config.json that transformers wants.
  void save(const std::string& path) const;
  /// What save() writes as tokenizer.json: the text it was loaded from, unchanged, what the trainer made, or what says
  /// the same as the file of another format.
  const std::string& json() const;

  /// Appends the ids of `text`. Added tokens in the text become their ids; nothing is put before or behind.
  void encode(std::string_view text, std::vector<TokenId>& ids) const;
  std::vector<TokenId> encode(std::string_view text) const;
  /// As encode(), but added tokens are text like any other: for text whose author may not give orders to a model.
  void encode_ordinary(std::string_view text, std::vector<TokenId>& ids) const;
  /// As encode() where nothing is marked; marked bytes are text like any other, whatever they spell.
  void encode_marked(const class MarkedText& text, std::vector<TokenId>& ids) const;
  /// Ids with what the file's post-processor puts around one sequence (BOS, EOS), as Hugging Face does by default.
  std::vector<TokenId> encode_with_template(std::string_view text) const;
  /// A text, or two, as the file's template puts them together for a model that reads whole sequences: ids, types,
  /// which bytes each token stands for. Shortened as the file says, or as `truncation` does.
  Encoding encode_single(std::string_view text) const;
  Encoding encode_single(std::string_view text, const Truncation& truncation) const;
  Encoding encode_pair(std::string_view first, std::string_view second) const;
  Encoding encode_pair(std::string_view first, std::string_view second, const Truncation& truncation) const;
  /// How the file wants texts shortened, and batches padded.
  std::optional<Truncation> truncation() const;
  std::optional<Padding> padding() const;
  /// encode() of each text, by `threads` threads (0: all of this machine). A long text is shared among them.
  std::vector<std::vector<TokenId>> encode_batch(std::span<const std::string_view> texts, int threads = 0) const;

  /// The bytes of these tokens, added tokens included. Throws Error for an id beyond the vocabulary.
  std::string decode(std::span<const TokenId> ids) const;
  /// As decode() without special tokens, and as valid UTF-8 (U+FFFD for what is not).
  std::string decode_text(std::span<const TokenId> ids) const;

  /// One more than the largest id. Ids that no token has (holes) decode to nothing.
  int64_t vocabulary_size() const;
  /// The id of a token spelt as in tokenizer.json (byte-level kinds write " the" as "Ġthe").
  std::optional<TokenId> id(std::string_view token) const;
  /// The token's spelling in tokenizer.json; empty for a hole. Throws Error beyond the vocabulary.
  std::string_view token(TokenId id) const;
  const std::vector<AddedToken>& added_tokens() const;
  bool is_special(TokenId id) const;
  std::optional<TokenId> begin_token() const;
  std::optional<TokenId> end_token() const;
  std::optional<TokenId> unknown_token() const;
  std::optional<TokenId> pad_token() const;
  std::optional<TokenId> mask_token() const;

  /// "byte-level BPE", "BPE on words", "WordPiece", "Unigram", "word-level", "character-level", "BPE", and the last
  /// with " with byte fallback".
  const std::string& kind() const;
  /// True when decode(encode(bytes)) == bytes for any bytes.
  bool lossless() const;
  /// 32 hex digits that two tokenizers share only when they give every text the same ids.
  const std::string& hash() const;

  struct Parts;

 private:
  friend class TextStream;
  explicit Tokenizer(std::unique_ptr<const Parts> parts);
  std::unique_ptr<const Parts> parts_;
};

/// Text of tokens as they come: what push() returns never ends inside a UTF-8 character and, put together and closed by
/// finish(), is what decode_text() returns for all of them. The tokenizer must outlive it. One thread.
class TextStream {
 public:
  explicit TextStream(const Tokenizer& tokenizer);
  std::string push(TokenId id);
  std::string finish();

 private:
  const Tokenizer* tokenizer_;
  std::string held_;
  std::optional<TokenId> before_;
  bool space_due_ = false;
};

}  // namespace lathe
