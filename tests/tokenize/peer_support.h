#pragma once

#include <string>
#include <vector>

#include "lathe/tokenize/tokenizer.h"

namespace lathe::test {

/// What Hugging Face's tokenizers make of texts.
struct PeerEncoding {
  std::vector<std::vector<TokenId>> ids;
  std::vector<std::string> decoded;  ///< of these ids, special tokens included
};

/// Loads the tokenizer.json `tokenizer` there and encodes `texts`, which must be UTF-8.
PeerEncoding peer_encoding(const std::string& tokenizer, const std::vector<std::string>& texts);

/// Trains byte-level BPE there on the file `text`, split as GPT-2 ("gpt2") or cl100k do, and saves it as `out`.
void peer_trained(const std::string& kind, const std::string& text, int64_t vocabulary_size, int64_t minimum_frequency,
                  const std::string& out);

/// The text of the Debian handbook's HTML in each of its languages, at most `characters` of each; empty when the
/// package debian-handbook is not installed.
std::vector<std::string> handbook_texts(int64_t characters);

/// A directory for one test, removed at the end.
class PeerFiles {
 public:
  PeerFiles();
  ~PeerFiles();
  std::string path(const std::string& name) const { return directory_ + "/" + name; }
  std::string write(const std::string& name, const std::string& content) const;

 private:
  std::string directory_;
};

}  // namespace lathe::test
