#include "lathe/data/token_shards.h"

#include <algorithm>
#include <cstring>
#include <filesystem>

#include "lathe/base/error.h"
#include "lathe/base/hash.h"

namespace lathe::data {
namespace {

constexpr int64_t kLongestIndex = int64_t{1} << 28;

std::string inside(const std::string& directory, const std::string& file) {
  return (std::filesystem::path(directory) / file).string();
}

MappedFile map_exactly(const std::string& path, int64_t bytes, const std::string& claim) {
  MappedFile file(path, MappedFile::Access::random);
  require(file.size() == bytes, path, ": holds ", file.size(), " bytes where the index says ", claim, " (", bytes,
          " bytes): the file is truncated or not of this corpus; prepare the data again");
  return file;
}

std::string index_text(const std::string& directory) {
  require(std::filesystem::is_directory(directory), directory,
          ": no such directory; `lathe data prepare` makes one from text");
  const std::string path = inside(directory, ShardIndex::kFile);
  require(std::filesystem::exists(path), directory, ": holds no ", ShardIndex::kFile,
          ", so it is no prepared corpus; `lathe data prepare` makes one from text");
  const MappedFile file(path);
  require(file.size() <= kLongestIndex, path, ": is too large for an index: ", file.size(), " bytes");
  return std::string(file.view());
}

void check_sum(const MappedFile& file, const std::string& expected) {
  const std::string found = hex(hash64(file.bytes()));
  require(found == expected, file.path(), ": checksum is ", found, ", the index says ", expected,
          ": the file is damaged; prepare the data again");
}

template <class Stored>
int32_t widen(const std::byte* from, std::span<int32_t> into) {
  uint32_t largest = 0;
  for (size_t i = 0; i < into.size(); ++i) {
    Stored value;
    std::memcpy(&value, from + i * sizeof(Stored), sizeof(Stored));
    largest = std::max<uint32_t>(largest, value);
    into[i] = static_cast<int32_t>(value);
  }
  return static_cast<int32_t>(std::min<uint32_t>(largest, INT32_MAX));
}

}  // namespace

TokenSplit::TokenSplit(const std::string& directory, const std::string& name, const ShardIndex& index,
                       const SplitIndex& split)
    : name_(directory + " (" + name + ")"),
      index_(split),
      token_bytes_(index.token_bytes),
      shard_tokens_(index.shard_tokens),
      largest_token_(index.largest_token) {
  for (const ShardFile& shard : split.shards)
    shards_.push_back(
        map_exactly(inside(directory, shard.file), shard.tokens * token_bytes_, text(shard.tokens, " tokens")));
  offsets_.push_back(map_exactly(inside(directory, split.offsets_file), (split.documents + 1) * 8,
                                 text(split.documents, " documents")));
  require(document_start(0) == 0 && document_start(split.documents) == split.tokens, offsets_[0].path(),
          ": runs from token ", document_start(0), " to ", document_start(split.documents), ", the index says 0 to ",
          split.tokens, ": the file is damaged; prepare the data again");
}

int32_t TokenSplit::read_part(const MappedFile& shard, int64_t first, std::span<int32_t> into) const {
  const std::byte* from = shard.data() + first * token_bytes_;
  return token_bytes_ == 2 ? widen<uint16_t>(from, into) : widen<uint32_t>(from, into);
}

void TokenSplit::read(int64_t first, std::span<int32_t> into) const {
  const auto count = static_cast<int64_t>(into.size());
  if (first < 0 || count > tokens() - first)
    throw InternalError(text(name_, ": read of ", count, " tokens at ", first));
  while (!into.empty()) {
    const MappedFile& shard = shards_[static_cast<size_t>(first / shard_tokens_)];
    const int64_t at = first % shard_tokens_;
    const int64_t here = std::min<int64_t>(static_cast<int64_t>(into.size()), shard_tokens_ - at);
    const int32_t largest = read_part(shard, at, into.first(static_cast<size_t>(here)));
    require(largest <= largest_token_, shard.path(), ": holds token ", largest, " between ", at, " and ", at + here,
            ", the largest of this corpus is ", largest_token_,
            ": the file is damaged; `lathe data show --verify` tells more");
    into = into.subspan(static_cast<size_t>(here));
    first += here;
  }
}

int64_t TokenSplit::document_start(int64_t document) const {
  int64_t start = 0;
  std::memcpy(&start, offsets_[0].data() + document * 8, 8);
  return start;
}

int64_t TokenSplit::document_at(int64_t token) const {
  int64_t low = 0, high = documents();  // document_start(low) <= token < document_start(high)
  while (high - low > 1) {
    const int64_t middle = low + (high - low) / 2;
    (document_start(middle) <= token ? low : high) = middle;
  }
  return low;
}

void TokenSplit::verify() const {
  for (size_t i = 0; i < shards_.size(); ++i) check_sum(shards_[i], index_.shards[i].checksum);
  check_sum(offsets_[0], index_.offsets_checksum);
  for (int64_t i = 0; i < documents(); ++i)
    require(document_start(i) < document_start(i + 1), offsets_[0].path(), ": document ", i, " has no tokens");
  std::vector<int32_t> part(1 << 16);
  for (int64_t first = 0; first < tokens(); first += static_cast<int64_t>(part.size())) {
    const int64_t count = std::min<int64_t>(static_cast<int64_t>(part.size()), tokens() - first);
    read(first, std::span(part).first(static_cast<size_t>(count)));
  }
}

TokenShards::TokenShards(const std::string& directory)
    : directory_(directory),
      index_(parse_index(index_text(directory), inside(directory, ShardIndex::kFile))),
      train_(directory, "train", index_, index_.train),
      held_out_(directory, "held-out", index_, index_.held_out) {}

std::string TokenShards::tokenizer_path() const { return inside(directory_, index_.tokenizer_file); }

void TokenShards::require_tokenizer(const std::string& hash, const std::string& tokenizer_name) const {
  require(hash == index_.tokenizer_hash, directory_, ": was made with the tokenizer ", index_.tokenizer_hash, ", but ",
          tokenizer_name, " is ", hash, ": use ", tokenizer_path(), ", or prepare the data with ", tokenizer_name);
}

void TokenShards::require_vocabulary(int64_t vocabulary_size) const {
  require(index_.largest_token < vocabulary_size, directory_, ": holds token ", index_.largest_token,
          ", but the model's vocabulary has ", vocabulary_size, ": set vocab_size to at least ",
          index_.vocabulary_size);
}

void TokenShards::verify() const {
  train_.verify();
  held_out_.verify();
}

}  // namespace lathe::data
