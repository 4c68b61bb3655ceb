#pragma once

#include <string>
#include <vector>

#include "lathe/files/sentence_modules.h"
#include "lathe/infer/text_reader.h"
#include "lathe/tokenize/tokenizer.h"

namespace lathe {

/// Makes a vector of each text: an encoder's hidden rows, pooled. What a text becomes does not depend on the others,
/// up to rounding. One thread; as TextReader, the newest object is the one to use.
class Embedder {
 public:
  /// `options.limits.sequences` texts are read at a time.
  Embedder(const TensorFiles& files, const ModelConfig& config, const SentenceModules& modules,
           const TextReader::Options& options);

  /// A vector of dimensions() for each text, in their order; batches are made of texts of like length. Throws Error as
  /// TextReader does, and for a vector that is no number. `progress` is told how many are done, after each batch.
  std::vector<std::vector<float>> embed(std::span<const std::vector<TokenId>> texts,
                                        const std::function<void(int64_t done)>& progress = nullptr);

  int64_t dimensions() const { return dimensions_; }
  /// Tokens of the longest text, cut where needed.
  int64_t max_tokens() const { return max_tokens_; }
  const TextReader& reader() const { return reader_; }

 private:
  SentenceModules modules_;
  int64_t dimensions_, max_tokens_;
  std::vector<std::vector<float>> pooled_;  ///< of the last pass: a vector for each text and pooling
  TextReader reader_;

  void pool(const Tensor& rows, const Packed& sequences);
};

/// The tokens of `text` with what the tokenizer puts around it, cut to `max_tokens`: what stands behind the text stays.
std::vector<TokenId> tokens_of_text(const Tokenizer& tokenizer, std::string_view text, int64_t max_tokens);

}  // namespace lathe
