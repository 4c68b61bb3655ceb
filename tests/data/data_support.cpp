#include "tests/data/data_support.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <span>

#include "lathe/base/error.h"
#include "lathe/base/utf8.h"
#include "lathe/data/split_writer.h"

namespace lathe::data {
namespace {

SplitIndex write_split(const std::string& directory, const std::string& name, const Documents& documents,
                       const CorpusShape& shape, ShardIndex& index) {
  SplitWriter writer(directory, name, shape.token_bytes, shape.shard_tokens);
  for (const std::vector<uint32_t>& document : documents) {
    const std::vector<uint16_t> narrow(document.begin(), document.end());
    writer.add(shape.token_bytes == 2 ? std::as_bytes(std::span(narrow)) : std::as_bytes(std::span(document)));
    writer.end_document(static_cast<int64_t>(document.size()) * 3);
  }
  SplitIndex split = writer.finish();
  index.largest_token = std::max(index.largest_token, writer.largest_token());
  return split;
}

}  // namespace

Scratch::Scratch() {
  std::string pattern = (std::filesystem::temp_directory_path() / "lathe-data-XXXXXX").string();
  require(mkdtemp(pattern.data()) != nullptr, pattern, ": cannot be made");
  directory_ = pattern;
}

Scratch::~Scratch() {
  std::error_code ignored;
  std::filesystem::remove_all(directory_, ignored);
}

std::string Scratch::file(const std::string& name, const std::string& bytes) const {
  std::filesystem::create_directories(std::filesystem::path(path(name)).parent_path());
  write_bytes(path(name), bytes);
  return path(name);
}

void write_corpus(const std::string& directory, const Documents& train, const Documents& held_out,
                  const CorpusShape& shape) {
  std::filesystem::create_directories(directory);
  ShardIndex index{.tokenizer_file = "tokenizer.json",
                   .tokenizer_hash = "0123456789abcdef0123456789abcdef",
                   .vocabulary_size = shape.vocabulary_size,
                   .largest_token = 0,
                   .end_of_document = 0,
                   .token_bytes = shape.token_bytes,
                   .shard_tokens = shape.shard_tokens,
                   .train = {},
                   .held_out = {},
                   .sources = {{"some.txt", 1, 3}},
                   .left_out = {}};
  index.train = write_split(directory, "train", train, shape, index);
  index.held_out = write_split(directory, "held-out", held_out, shape, index);
  write_bytes(directory + "/" + ShardIndex::kFile, format_index(index));
}

Documents counting_documents(int64_t documents, int64_t longest) {
  Documents all;
  uint32_t token = 0;
  for (int64_t i = 0; i < documents; ++i) {
    std::vector<uint32_t>& document = all.emplace_back();
    const int64_t length = 1 + (i * 7919) % longest;
    for (int64_t j = 1; j < length; ++j) document.push_back(1 + token++ % 999);
    document.push_back(0);
  }
  return all;
}

std::string write_tokenizer(const Scratch& scratch) {
  nlohmann::ordered_json vocabulary;
  char32_t next = 256;
  for (char32_t byte = 0; byte < 256; ++byte) {  // as GPT-2 spells bytes
    const bool itself = (byte >= 33 && byte <= 126) || (byte >= 161 && byte != 173);
    std::string symbol;
    append_utf8(symbol, itself ? byte : next++);
    vocabulary[symbol] = byte;
  }
  const std::vector<std::pair<std::string, std::string>> merges = {{"t", "h"},  {"th", "e"},       {"a", "n"},
                                                                   {"an", "d"}, {"\u0120", "the"}, {"e", "r"},
                                                                   {"o", "r"},  {"w", "or"},       {"wor", "d"}};
  nlohmann::ordered_json merge_list = nlohmann::ordered_json::array();
  for (const auto& [left, right] : merges) {
    vocabulary[left + right] = vocabulary.size();
    merge_list.push_back(left + " " + right);
  }
  const size_t end = vocabulary.size();
  const nlohmann::ordered_json json = {
      {"version", "1.0"},
      {"truncation", nullptr},
      {"padding", nullptr},
      {"added_tokens",
       {{{"id", end},
         {"content", "<|end|>"},
         {"single_word", false},
         {"lstrip", false},
         {"rstrip", false},
         {"normalized", false},
         {"special", true}}}},
      {"normalizer", nullptr},
      {"pre_tokenizer",
       {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}, {"use_regex", true}}},
      {"post_processor", nullptr},
      {"decoder", {{"type", "ByteLevel"}, {"add_prefix_space", true}, {"trim_offsets", true}, {"use_regex", true}}},
      {"model",
       {{"type", "BPE"},
        {"dropout", nullptr},
        {"unk_token", nullptr},
        {"continuing_subword_prefix", nullptr},
        {"end_of_word_suffix", nullptr},
        {"fuse_unk", false},
        {"vocab", vocabulary},
        {"merges", merge_list}}}};
  scratch.file("tokenizer/tokenizer_config.json", "{\"eos_token\": \"<|end|>\"}");
  return scratch.file("tokenizer/tokenizer.json", json.dump());
}

std::string read_bytes(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

void write_bytes(const std::string& path, const std::string& bytes) {
  std::ofstream out(path, std::ios::binary);
  out << bytes;
}

}  // namespace lathe::data
