#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "lathe/tokenize/json_fields.h"
#include "lathe/tokenize/parts.h"

namespace lathe::tokenize {

/// How the spellings of tokens become text.
enum class Decoder : uint8_t { bytes, plain, join_by_spaces, word_ends };

/// What stands before and behind the model in a tokenizer.json.
struct Pipeline {
  bool compose = false;
  bool bytes = false;  // words reach the model spelt in byte characters
  bool space_in_front = false;
  std::unique_ptr<Splitter> splitter;
  Decoder decoder = Decoder::join_by_spaces;
  std::string word_end;  // what Decoder::word_ends turns into a space
  std::string settings;  // all of this as text, the same for files that differ in form only
};

/// Reads normalizer, pre_tokenizer and decoder. Throws Error, naming it, for a kind that is not built here.
Pipeline read_pipeline(const JsonFields& file);

/// Reads post_processor: the tokens it puts before and behind a single text.
void read_template(const JsonFields& file, Tokenizer::Parts& parts);

Tokenizer::Parts::Decoded decoded_token(const Pipeline& pipeline, const std::string& spelling);

}  // namespace lathe::tokenize
