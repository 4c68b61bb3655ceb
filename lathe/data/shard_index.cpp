#include "lathe/data/shard_index.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "lathe/base/error.h"

namespace lathe::data {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kKind = "lathe token shards";
constexpr int64_t kMost = int64_t{1} << 50;  // of anything counted here; sums stay far from overflow

/// One object of the index, and where it stands for messages.
class Fields {
 public:
  Fields(const Json& object, std::string where) : object_(object), where_(std::move(where)) {
    require(object_.is_object(), where_, ": must be an object");
  }

  const Json& at(const char* key) const {
    const auto found = object_.find(key);
    require(found != object_.end(), where_, ": lacks \"", key, "\"");
    return *found;
  }
  bool has(const char* key) const { return object_.contains(key) && !object_[key].is_null(); }
  int64_t count(const char* key) const {
    const Json& value = at(key);
    const bool fits = value.is_number_integer() && (!value.is_number_unsigned() || value.get<uint64_t>() <= kMost);
    require(fits && value.get<int64_t>() >= 0 && value.get<int64_t>() <= kMost, where_, ": \"", key,
            "\" must be a count, is ", shown(value));
    return value.get<int64_t>();
  }
  std::string word(const char* key) const {
    const Json& value = at(key);
    require(value.is_string(), where_, ": \"", key, "\" must be a string, is ", shown(value));
    return value.get<std::string>();
  }
  /// The name of a file inside the directory.
  std::string file(const char* key) const {
    std::string name = word(key);
    const bool plain = !name.empty() && name.find('/') == std::string::npos && name.find('\0') == std::string::npos;
    require(plain && name[0] != '.' && name.size() < 256, where_, ": \"", key,
            "\" must name a file beside the index, is ", shown(at(key)));
    return name;
  }
  Fields object(const char* key) const { return {at(key), where_ + "." + key}; }
  const Json& list(const char* key) const {
    require(at(key).is_array(), where_, ": \"", key, "\" must be a list");
    return at(key);
  }
  const std::string& where() const { return where_; }

 private:
  static std::string shown(const Json& value) {
    return value.dump(-1, ' ', true, Json::error_handler_t::replace).substr(0, 80);
  }

  const Json& object_;
  std::string where_;
};

SplitIndex parse_split(const Fields& fields, int64_t shard_tokens) {
  SplitIndex split{.tokens = fields.count("tokens"),
                   .documents = fields.count("documents"),
                   .bytes = fields.count("bytes"),
                   .shards = {},
                   .offsets_file = fields.file("offsets_file"),
                   .offsets_checksum = fields.word("offsets_checksum")};
  const std::string& where = fields.where();
  require(split.documents <= split.tokens, where, ": ", split.documents, " documents but only ", split.tokens,
          " tokens");
  require((split.tokens == 0) == (split.documents == 0), where, ": tokens without documents");
  int64_t sum = 0;
  for (const Json& entry : fields.list("shards")) {
    const Fields shard(entry, text(where, ".shards[", split.shards.size(), "]"));
    split.shards.push_back({shard.file("file"), shard.count("tokens"), shard.word("checksum")});
    const int64_t tokens = split.shards.back().tokens;
    sum += tokens;
    const bool last = sum == split.tokens && tokens > 0 && tokens <= shard_tokens;
    require(last || (tokens == shard_tokens && sum < split.tokens), shard.where(), ": holds ", tokens,
            " tokens, which does not add up to ", split.tokens, " in shards of ", shard_tokens);
  }
  require(sum == split.tokens, where, ": shards hold ", sum, " tokens, the split claims ", split.tokens);
  return split;
}

void parse_sources(const Fields& fields, ShardIndex& index) {
  for (const Json& entry : fields.list("sources")) {
    const Fields source(entry, text(fields.where(), ".sources[", index.sources.size(), "]"));
    index.sources.push_back({source.word("path"), source.count("documents"), source.count("bytes")});
  }
  const Fields left_out = fields.object("left_out");
  index.left_out = {left_out.count("duplicates"), left_out.count("empty"), left_out.count("broken_lines"),
                    left_out.count("invalid_utf8")};
}

void check_tokens(const ShardIndex& index, const std::string& where) {
  require(index.token_bytes == 2 || index.token_bytes == 4, where, ": \"token_bytes\" must be 2 or 4, is ",
          index.token_bytes);
  const int64_t most = index.token_bytes == 2 ? int64_t{1} << 16 : int64_t{1} << 31;
  require(index.vocabulary_size >= 1 && index.vocabulary_size <= most, where, ": a vocabulary of ",
          index.vocabulary_size, " does not fit tokens of ", index.token_bytes, " bytes");
  require(index.largest_token < index.vocabulary_size, where, ": largest token ", index.largest_token,
          " is outside the vocabulary of ", index.vocabulary_size);
  require(!index.end_of_document || *index.end_of_document < index.vocabulary_size, where,
          ": \"end_of_document\" is outside the vocabulary of ", index.vocabulary_size);
  require(index.shard_tokens >= 1, where, ": \"shard_tokens\" must be at least 1");
}

Json parse_text(std::string_view json, const std::string& where) {
  Json parsed = Json::parse(json, nullptr, false);
  require(!parsed.is_discarded(), where, ": is not JSON; it is damaged or no index of token shards");
  require(parsed.is_object() && parsed.contains("kind") && parsed["kind"] == kKind, where,
          ": is not an index of token shards, which `lathe data prepare` writes");
  return parsed;
}

Json split_json(const SplitIndex& split) {
  Json shards = Json::array();
  for (const ShardFile& shard : split.shards)
    shards.push_back({{"file", shard.file}, {"tokens", shard.tokens}, {"checksum", shard.checksum}});
  return {{"tokens", split.tokens},
          {"documents", split.documents},
          {"bytes", split.bytes},
          {"offsets_file", split.offsets_file},
          {"offsets_checksum", split.offsets_checksum},
          {"shards", std::move(shards)}};
}

}  // namespace

ShardIndex parse_index(std::string_view json, const std::string& where) {
  const Json parsed = parse_text(json, where);
  const Fields fields(parsed, where);
  const int64_t format = fields.count("format");
  require(format >= 1 && format <= ShardIndex::kFormat, where, ": has format ", format,
          "; this lathe reads formats up to ", ShardIndex::kFormat,
          ": prepare the data again, or use the lathe that wrote it");
  ShardIndex index;
  const Fields tokenizer = fields.object("tokenizer");
  index.tokenizer_file = tokenizer.file("file");
  index.tokenizer_hash = tokenizer.word("hash");
  index.vocabulary_size = tokenizer.count("vocabulary_size");
  if (tokenizer.has("end_of_document")) index.end_of_document = tokenizer.count("end_of_document");
  index.largest_token = fields.count("largest_token");
  index.token_bytes = static_cast<int>(std::min<int64_t>(fields.count("token_bytes"), 1000));
  index.shard_tokens = fields.count("shard_tokens");
  check_tokens(index, where);
  index.train = parse_split(fields.object("train"), index.shard_tokens);
  index.held_out = parse_split(fields.object("held_out"), index.shard_tokens);
  parse_sources(fields, index);
  return index;
}

std::string format_index(const ShardIndex& index) {
  Json json = {{"kind", kKind}, {"format", ShardIndex::kFormat}};
  json["tokenizer"] = {{"file", index.tokenizer_file},
                       {"hash", index.tokenizer_hash},
                       {"vocabulary_size", index.vocabulary_size},
                       {"end_of_document", nullptr}};
  if (index.end_of_document) json["tokenizer"]["end_of_document"] = *index.end_of_document;
  json["largest_token"] = index.largest_token;
  json["token_bytes"] = index.token_bytes;
  json["shard_tokens"] = index.shard_tokens;
  json["train"] = split_json(index.train);
  json["held_out"] = split_json(index.held_out);
  const LeftOut& left_out = index.left_out;
  json["left_out"] = {{"duplicates", left_out.duplicates},
                      {"empty", left_out.empty},
                      {"broken_lines", left_out.broken_lines},
                      {"invalid_utf8", left_out.invalid_utf8}};
  json["sources"] = Json::array();
  for (const SourceFile& source : index.sources)
    json["sources"].push_back({{"path", source.path}, {"documents", source.documents}, {"bytes", source.bytes}});
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace lathe::data
