#include "lathe/data/split_writer.h"

#include <algorithm>
#include <cstring>

#include "lathe/base/error.h"

namespace lathe::data {
namespace {

constexpr size_t kOffsetsKept = 1 << 14;

template <class Stored>
int64_t largest_of(Bytes tokens) {
  Stored largest = 0;
  for (size_t at = 0; at < tokens.size(); at += sizeof(Stored)) {
    Stored value;
    std::memcpy(&value, tokens.data() + at, sizeof(Stored));
    largest = std::max(largest, value);
  }
  return largest;
}

std::string shard_name(const std::string& split, size_t number) {
  const std::string digits = std::to_string(number);
  return split + "-" + std::string(digits.size() < 5 ? 5 - digits.size() : 0, '0') + digits + ".tokens";
}

}  // namespace

SplitWriter::SplitWriter(const std::string& directory, const std::string& name, int token_bytes, int64_t shard_tokens)
    : directory_(directory),
      name_(name),
      token_bytes_(token_bytes),
      shard_tokens_(shard_tokens),
      offsets_file_(directory + "/" + name + ".offsets") {
  index_.offsets_file = name + ".offsets";
  offsets_.push_back(0);
}

void SplitWriter::begin_shard() {
  index_.shards.push_back({shard_name(name_, index_.shards.size()), 0, ""});
  shard_.emplace(directory_ + "/" + index_.shards.back().file);
  shard_hash_ = Hasher();
}

void SplitWriter::end_shard() {
  index_.shards.back().checksum = hex(shard_hash_.digest64());
  shard_->commit();
  shard_.reset();
}

void SplitWriter::add(Bytes tokens) {
  largest_token_ =
      std::max(largest_token_, token_bytes_ == 2 ? largest_of<uint16_t>(tokens) : largest_of<uint32_t>(tokens));
  while (!tokens.empty()) {
    if (!shard_) begin_shard();
    ShardFile& shard = index_.shards.back();
    const int64_t room = (shard_tokens_ - shard.tokens) * token_bytes_;
    const Bytes here = tokens.first(static_cast<size_t>(std::min<int64_t>(room, static_cast<int64_t>(tokens.size()))));
    shard_->write(here);
    shard_hash_.add(here);
    shard.tokens += static_cast<int64_t>(here.size()) / token_bytes_;
    index_.tokens += static_cast<int64_t>(here.size()) / token_bytes_;
    tokens = tokens.subspan(here.size());
    if (shard.tokens == shard_tokens_) end_shard();
  }
}

void SplitWriter::end_document(int64_t bytes) {
  ++index_.documents;
  index_.bytes += bytes;
  offsets_.push_back(index_.tokens);
  if (offsets_.size() >= kOffsetsKept) flush_offsets();
}

void SplitWriter::flush_offsets() {
  const Bytes bytes = std::as_bytes(std::span(offsets_));
  offsets_file_.write(bytes);
  offsets_hash_.add(bytes);
  offsets_.clear();
}

SplitIndex SplitWriter::finish() {
  if (shard_) end_shard();
  flush_offsets();
  offsets_file_.commit();
  index_.offsets_checksum = hex(offsets_hash_.digest64());
  return index_;
}

}  // namespace lathe::data
