#pragma once

#include <optional>
#include <string>
#include <vector>

#include "lathe/ops/pool_sequences.h"

namespace lathe {

class GgufMetadata;

/// What a sentence-transformers directory says of how embeddings are made of a model's hidden rows.
struct SentenceModules {
  std::vector<Pooling> pooling = {Pooling::mean};  ///< several: one behind the other
  bool normalize = false;                          ///< to a length of 1
  int64_t max_tokens = 0;                          ///< longer texts are cut; 0: the model's own limit
  bool lowercase = false;                          ///< texts are to be in lower case, whatever the tokenizer does
  std::string prompt;                              ///< what stands before each text
};

/// Reads modules.json, the config.json of its Pooling module, sentence_bert_config.json, where that names no length the
/// one of tokenizer_config.json, and the default prompt of config_sentence_transformers.json; nothing where there is no
/// modules.json. Throws Error naming the file and the module or field that is not supported.
std::optional<SentenceModules> read_sentence_modules(const std::string& directory);

/// Writes those files, for vectors of `width` numbers.
void write_sentence_modules(const SentenceModules& modules, int64_t width, const std::string& directory);

/// The same of a GGUF file: llama.cpp's ARCHITECTURE.pooling_type, and beside it what only lathe writes. Nothing where
/// the file names no pooling.
std::optional<SentenceModules> gguf_sentence_modules(const std::string& file);
/// Throws Error for pooling that llama.cpp has not: all but mean, first, last.
void add_gguf_sentence_modules(const SentenceModules& modules, const std::string& architecture, GgufMetadata& metadata);

/// "mean", "mean-sqrt-length", "weighted-mean", "first", "last", "max". Throws Error for others.
Pooling pooling_named(const std::string& name);
const char* name_of(Pooling pooling);

}  // namespace lathe
