#pragma once

#include <memory>
#include <string>

#include "lathe/base/gguf.h"
#include "lathe/tokenize/parts.h"
#include "lathe/tokenize/vocabulary_settings.h"

namespace lathe::tokenize {

struct TokenizerFile {
  TokenizerFormat format;
  std::string path;       // for vocabulary_and_merges that of vocab.json
  std::string directory;  // where files may say more of it
};

/// The file that `path`, a file or a directory, means. Throws Error when there is none, naming what was looked for.
TokenizerFile find_tokenizer_file(const std::string& path);

/// A vocabulary that says little itself (all but tokenizer.json and GGUF files) is read as `settings` have it.
std::unique_ptr<Tokenizer::Parts> read_tokenizer_file(const TokenizerFile& file, const VocabularySettings& settings);

/// From what a file holds that stands alone; `name` is how errors call it.
std::unique_ptr<Tokenizer::Parts> read_tokenizer(std::string_view content, const std::string& name,
                                                 TokenizerFormat format, const VocabularySettings& settings = {});

/// Without a tokenizer_class texts are pieces alone; T5's end with </s>, those of LLaMA and Gemma begin with <s>.
std::unique_ptr<Tokenizer::Parts> read_sentencepiece_model(std::string_view bytes, const std::string& name,
                                                           const VocabularySettings& settings);
std::unique_ptr<Tokenizer::Parts> read_tiktoken_ranks(std::string_view ranks, const std::string& name);
/// BERT's. Where no file says, texts become lower case unless a piece has a capital letter.
std::unique_ptr<Tokenizer::Parts> read_word_pieces(std::string_view lines, const std::string& name,
                                                   const VocabularySettings& settings);
/// The two files that GPT-2 was published as, and what came of it: RoBERTa and BART, GPT-NeoX, Qwen 2.
std::unique_ptr<Tokenizer::Parts> read_vocabulary_and_merges(std::string_view vocabulary_json, std::string_view merges,
                                                             const std::string& name,
                                                             const VocabularySettings& settings);
std::unique_ptr<Tokenizer::Parts> read_gguf_vocabulary(const GgufFields& fields);

}  // namespace lathe::tokenize
