#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "lathe/base/durable_file.h"
#include "lathe/base/hash.h"
#include "lathe/data/shard_index.h"

namespace lathe::data {

/// Writes one split of a corpus: shards of a fixed size and the file of document offsets. One thread.
/// Throws Error when the disk is full; nothing of what it wrote counts before finish().
class SplitWriter {
 public:
  /// Files are named "NAME-00000.tokens" and "NAME.offsets".
  SplitWriter(const std::string& directory, const std::string& name, int token_bytes, int64_t shard_tokens);

  /// Adds tokens as the shards store them: token_bytes each, whole tokens only.
  void add(Bytes tokens);
  /// Ends a document that was made from `bytes` of text.
  void end_document(int64_t bytes);
  /// Makes all files durable and says what they hold.
  SplitIndex finish();

  int64_t largest_token() const { return largest_token_; }

 private:
  void begin_shard();
  void end_shard();
  void flush_offsets();

  std::string directory_;
  std::string name_;
  int token_bytes_;
  int64_t shard_tokens_;
  SplitIndex index_;
  int64_t largest_token_ = 0;
  std::optional<DurableFile> shard_;
  Hasher shard_hash_;
  DurableFile offsets_file_;
  Hasher offsets_hash_;
  std::vector<int64_t> offsets_;  // not yet written
};

}  // namespace lathe::data
