#pragma once

#include <memory>
#include <string>

#include "lathe/base/gguf.h"
#include "lathe/tokenize/parts.h"

namespace lathe::tokenize {

struct TokenizerFile {
  TokenizerFormat format;
  std::string path;    // for vocabulary_and_merges that of vocab.json
  std::string config;  // tokenizer_config.json beside it; empty for none
};

/// The file that `path`, a file or a directory, means. Throws Error when there is none, naming what was looked for.
TokenizerFile find_tokenizer_file(const std::string& path);

std::unique_ptr<Tokenizer::Parts> read_tokenizer_file(const TokenizerFile& file);

/// From what a file holds that stands alone; `name` is how errors call it.
std::unique_ptr<Tokenizer::Parts> read_tokenizer(std::string_view content, const std::string& name,
                                                 TokenizerFormat format);

std::unique_ptr<Tokenizer::Parts> read_sentencepiece_model(std::string_view bytes, const std::string& name);
std::unique_ptr<Tokenizer::Parts> read_tiktoken_ranks(std::string_view ranks, const std::string& name);
std::unique_ptr<Tokenizer::Parts> read_word_pieces(std::string_view lines, const std::string& name);
/// The two files that GPT-2 was published as.
std::unique_ptr<Tokenizer::Parts> read_vocabulary_and_merges(std::string_view vocabulary_json, std::string_view merges,
                                                             const std::string& name);
std::unique_ptr<Tokenizer::Parts> read_gguf_vocabulary(const GgufFields& fields);

}  // namespace lathe::tokenize
