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

/// What its normalizer and pre-tokenizer, both JSON or null, make of each text: words, each with the byte 0x1F behind.
std::vector<std::string> peer_words(const std::string& normalizer, const std::string& pre_tokenizer,
                                    const std::vector<std::string>& texts);

/// Single texts and pairs with their template, as the peer annotates them: a line a token of id, type, special mask,
/// first character and end, which text (-1: template); a text each.
std::vector<std::string> peer_annotations(const std::string& tokenizer, const std::vector<std::string>& first,
                                          const std::vector<std::string>& second);

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
