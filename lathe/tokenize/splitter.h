#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace lathe::tokenize {

/// Cuts text into the words a model encodes one by one (a pre-tokenizer). Immutable; any thread may use it.
class Splitter {
 public:
  virtual ~Splitter() = default;

  /// Appends words of `text` in order, from `offset` on, until about `limit` were appended or the text ends; returns
  /// where to go on, text.size() at the end. Words are parts of `text`.
  virtual size_t split(std::string_view text, size_t offset, size_t limit,
                       std::vector<std::string_view>& words) const = 0;

  /// True when words always end between an ASCII letter and a following space or newline, and text cut there splits as
  /// the two parts do.
  virtual bool cuts_after_letters() const { return true; }
  /// The same for spaces, and for what a pipeline makes of spaces, behind any letter, number or ASCII sign.
  virtual bool cuts_before_spaces() const { return cuts_after_letters(); }
  /// True when text cut there splits as the two parts do, save that a word may be cut in two.
  virtual bool is_local() const { return cuts_after_letters(); }
};

/// 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+, by hand.
std::unique_ptr<Splitter> gpt2_splitter();

/// (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,digits}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|
/// \s+(?!\S)|\s+, by hand: cl100k and LLaMA 3 with three digits, Qwen 2 with one.
std::unique_ptr<Splitter> cl100k_splitter(int digits);

/// Runs of word characters and of what is neither that nor space; spaces are left out (Hugging Face's Whitespace).
std::unique_ptr<Splitter> word_splitter();

/// What stands between whitespace; whitespace is left out (Hugging Face's WhitespaceSplit).
std::unique_ptr<Splitter> whitespace_splitter();

/// Each number character apart (or, not `individual`, each run of them), and what lies between (Hugging Face's Digits).
std::unique_ptr<Splitter> digit_splitter(bool individual);

/// Runs of one script (Hugging Face's UnicodeScripts).
std::unique_ptr<Splitter> script_splitter();

/// Each character as one word.
std::unique_ptr<Splitter> character_splitter();

/// The whole text as one word.
std::unique_ptr<Splitter> no_splitter();

/// Words of the first, cut by the second, and so on. At least one.
std::unique_ptr<Splitter> splitter_sequence(std::vector<std::unique_ptr<Splitter>> splitters);

/// Matches of a regular expression and what lies between them (Hugging Face's Split, "Isolated"). Known expressions get
/// their splitter by hand, others PCRE2. Throws Error when `pattern` is no regular expression.
std::unique_ptr<Splitter> regex_splitter(const std::string& pattern);

}  // namespace lathe::tokenize
