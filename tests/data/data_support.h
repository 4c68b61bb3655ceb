#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "lathe/data/shard_index.h"

namespace lathe::data {

/// A directory of its own for one test, removed with everything in it at the end.
class Scratch {
 public:
  Scratch();
  ~Scratch();
  std::string path(const std::string& name = "") const { return name.empty() ? directory_ : directory_ + "/" + name; }
  /// Writes a file and returns its path.
  std::string file(const std::string& name, const std::string& bytes) const;

 private:
  std::string directory_;
};

using Documents = std::vector<std::vector<uint32_t>>;

struct CorpusShape {
  int token_bytes = 2;
  int64_t shard_tokens = 1 << 20;
  int64_t vocabulary_size = 1000;
};

/// Writes a corpus of given tokens to `directory`; token 0 is its end of document, though none is added.
void write_corpus(const std::string& directory, const Documents& train, const Documents& held_out = {},
                  const CorpusShape& shape = {});

/// Documents of 1 .. longest tokens that count up through a vocabulary of 999 tokens from 1; each ends with a 0.
Documents counting_documents(int64_t documents, int64_t longest);

/// Writes a tokenizer.json of byte-level BPE: 256 bytes, some English merges, and "<|end|>" as end token.
std::string write_tokenizer(const Scratch& scratch);

std::string read_bytes(const std::string& path);
void write_bytes(const std::string& path, const std::string& bytes);

}  // namespace lathe::data
