#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "lathe/base/mapped_file.h"
#include "lathe/data/shard_index.h"

namespace lathe::data {

/// One part (train or held-out) of a prepared corpus, memory-mapped. Immutable; any thread may read.
class TokenSplit {
 public:
  /// Maps the files that `index` names. Throws Error when one is missing or its size contradicts the index.
  TokenSplit(const std::string& directory, const std::string& name, const ShardIndex& index, const SplitIndex& split);

  int64_t tokens() const { return index_.tokens; }
  int64_t documents() const { return index_.documents; }
  int64_t bytes() const { return index_.bytes; }
  /// "DIRECTORY (train)": for messages.
  const std::string& name() const { return name_; }

  /// Copies tokens first .. first + into.size() - 1. Throws Error, naming the shard, when one of them is larger than
  /// the index allows: the file is damaged.
  void read(int64_t first, std::span<int32_t> into) const;

  /// First token of `document`; that of documents() is tokens().
  int64_t document_start(int64_t document) const;
  /// The document that `token` belongs to.
  int64_t document_at(int64_t token) const;

  /// Reads everything and compares checksums and document offsets. Throws Error naming the first file that is wrong.
  void verify() const;

 private:
  int32_t read_part(const MappedFile& shard, int64_t first, std::span<int32_t> into) const;

  std::string name_;
  SplitIndex index_;
  int token_bytes_;
  int64_t shard_tokens_;
  int64_t largest_token_;
  std::vector<MappedFile> shards_;
  std::vector<MappedFile> offsets_;  // one
};

/// A directory that `lathe data prepare` wrote. Immutable; any thread may read.
class TokenShards {
 public:
  /// Reads the index and maps the files; checks sizes but not contents. Throws Error as parse_index and TokenSplit do.
  explicit TokenShards(const std::string& directory);

  const std::string& directory() const { return directory_; }
  const ShardIndex& index() const { return index_; }
  const TokenSplit& train() const { return train_; }
  const TokenSplit& held_out() const { return held_out_; }
  /// Path of the corpus's own copy of the tokenizer.
  std::string tokenizer_path() const;

  /// Throws Error naming both hashes unless the corpus was made with the tokenizer of `hash`.
  void require_tokenizer(const std::string& hash, const std::string& tokenizer_name) const;
  /// Throws Error when a token of the corpus is outside a model's vocabulary.
  void require_vocabulary(int64_t vocabulary_size) const;
  /// Reads everything and compares checksums. Throws Error naming the first file that is wrong.
  void verify() const;

 private:
  std::string directory_;
  ShardIndex index_;
  TokenSplit train_;
  TokenSplit held_out_;
};

}  // namespace lathe::data
