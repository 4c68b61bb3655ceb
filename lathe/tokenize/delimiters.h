#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "lathe/tokenize/splitter.h"

namespace lathe::tokenize {

/// What text is split at.
class Delimiter {
 public:
  virtual ~Delimiter() = default;
  /// The first delimiter from `from` on; false when there is none. It has at least one byte.
  virtual bool find(std::string_view text, size_t from, size_t& begin, size_t& end) const = 0;
};

/// What becomes of delimiters (Hugging Face's SplitDelimiterBehavior).
enum class DelimiterUse : uint8_t { removed, isolated, with_previous, with_next, contiguous };

/// The use of this name, as in tokenizer.json. Throws Error for another one.
DelimiterUse delimiter_use(std::string_view name);

/// Splitters at occurrences of a text, matches of an expression, or punctuation; `invert`: at what lies between.
std::unique_ptr<Splitter> literal_splitter(std::string literal, DelimiterUse use, bool invert);
std::unique_ptr<Splitter> regex_splitter(const std::string& pattern, DelimiterUse use, bool invert);
std::unique_ptr<Splitter> punctuation_splitter(DelimiterUse use);

/// Whitespace left out, punctuation apart (BERT).
std::unique_ptr<Splitter> bert_splitter();

/// Before each occurrence of `mark`, the replacement of spaces in SentencePiece's models.
std::unique_ptr<Splitter> mark_splitter(std::string mark);

/// Words of this many characters.
std::unique_ptr<Splitter> fixed_length_splitter(size_t characters);

}  // namespace lathe::tokenize
