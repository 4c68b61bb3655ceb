#include <algorithm>
#include <unordered_map>

#include "lathe/base/base64.h"
#include "lathe/base/error.h"
#include "lathe/base/numbers.h"
#include "lathe/tokenize/byte_alphabet.h"
#include "lathe/tokenize/skeletons.h"
#include "lathe/tokenize/tokenizer_files.h"

namespace lathe::tokenize {
namespace {

constexpr const char* kGpt2Words =
    R"({"type":"ByteLevel","add_prefix_space":false,"trim_offsets":true,"use_regex":true})";
constexpr const char* kO200k =
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|)"
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|)"
    R"(\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

struct Rank {
  std::string bytes;
  TokenId rank;
};

/// What a file of ranks leaves to the program that reads it, known by the largest rank.
struct Encoding {
  TokenId last_rank;
  const char* name;
  std::string pre_tokenizer;
  std::vector<std::pair<const char*, TokenId>> special;
};

Encoding encoding_of(TokenId last_rank, const std::string& name) {
  const std::vector<Encoding> known = {
      {50255, "r50k_base", kGpt2Words, {{"<|endoftext|>", 50256}}},
      {50280, "p50k_base", kGpt2Words, {{"<|endoftext|>", 50256}}},
      {100255,
       "cl100k_base",
       split_then_bytes({cl100k_expression(3)}),
       {{"<|endoftext|>", 100257},
        {"<|fim_prefix|>", 100258},
        {"<|fim_middle|>", 100259},
        {"<|fim_suffix|>", 100260},
        {"<|endofprompt|>", 100276}}},
      {199997, "o200k_base", split_then_bytes({kO200k}), {{"<|endoftext|>", 199999}, {"<|endofprompt|>", 200018}}},
      {127999,
       "LLaMA 3",
       split_then_bytes({cl100k_expression(3)}),
       {{"<|begin_of_text|>", 128000},
        {"<|end_of_text|>", 128001},
        {"<|start_header_id|>", 128006},
        {"<|end_header_id|>", 128007},
        {"<|eot_id|>", 128009}}},
      {151642,
       "Qwen",
       split_then_bytes({cl100k_expression(1)}),
       {{"<|endoftext|>", 151643}, {"<|im_start|>", 151644}, {"<|im_end|>", 151645}}}};
  for (const Encoding& one : known) {
    if (one.last_rank == last_rank) return one;
  }
  throw Error(
      text(name, ": ranks up to ", last_rank,
           " are those of no known encoding (r50k_base, p50k_base, cl100k_base, o200k_base, LLaMA 3, Qwen), and a "
           "file of ranks does not say how text is split; make a tokenizer.json of it"));
}

std::vector<Rank> read_ranks(std::string_view lines, const std::string& name) {
  std::vector<Rank> ranks;
  for (size_t number = 1; !lines.empty(); ++number) {
    std::string_view line = lines.substr(0, lines.find('\n'));
    lines.remove_prefix(std::min(lines.size(), line.size() + 1));
    if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
    if (line.empty()) continue;
    const size_t space = line.find(' ');
    const auto bytes = base64_decoded(line.substr(0, space));
    const int64_t rank = space == std::string_view::npos ? -1 : try_parse_int(line.substr(space + 1)).value_or(-1);
    require(bytes && !bytes->empty() && rank >= 0 && rank < int64_t{1} << 24, name, ": line ", number,
            " is not a token in base64 and its rank: '", line.substr(0, 60), "'");
    ranks.push_back({*bytes, static_cast<TokenId>(rank)});
  }
  require(!ranks.empty(), name, " holds no ranks");
  return ranks;
}

/// Each way to put a token together from two others, in order of rank; of one token those of lower ranks first.
std::vector<TokenMerge> merges_of(const std::vector<Rank>& ranks) {
  std::unordered_map<std::string_view, TokenId> by_bytes;
  for (const Rank& rank : ranks) by_bytes.emplace(rank.bytes, rank.rank);
  std::vector<TokenMerge> merges;
  for (const Rank& rank : ranks) {
    const size_t first = merges.size();
    const std::string_view bytes = rank.bytes;
    for (size_t cut = 1; cut < bytes.size(); ++cut) {
      const auto left = by_bytes.find(bytes.substr(0, cut));
      if (left == by_bytes.end() || left->second >= rank.rank) continue;
      const auto right = by_bytes.find(bytes.substr(cut));
      if (right == by_bytes.end() || right->second >= rank.rank) continue;
      merges.push_back({left->second, right->second, rank.rank});
    }
    std::sort(merges.begin() + static_cast<ptrdiff_t>(first), merges.end(),
              [](const TokenMerge& a, const TokenMerge& b) {
                return a.left != b.left ? a.left < b.left : a.right < b.right;
              });
  }
  return merges;
}

}  // namespace

std::unique_ptr<Tokenizer::Parts> read_tiktoken_ranks(std::string_view lines, const std::string& name) {
  std::vector<Rank> ranks = read_ranks(lines, name);
  std::sort(ranks.begin(), ranks.end(), [](const Rank& a, const Rank& b) { return a.rank < b.rank; });
  ModelTables tables;
  tables.vocabulary.reserve(ranks.size());
  for (const Rank& rank : ranks) {
    try {
      tables.vocabulary.add(spell_bytes(rank.bytes), rank.rank);
    } catch (const Error& error) {
      throw Error(text(name, ": ", error.what()));
    }
  }
  const Encoding encoding = encoding_of(ranks.back().rank, name);
  ByteLevelOptions options{.pre_tokenizer = encoding.pre_tokenizer, .whole_words_first = true};
  for (const auto& [content, id] : encoding.special) {
    options.added.push_back({.content = content, .id = id, .special = true});
    tables.vocabulary.add(content, id);  // tokenizers gives ids of its own to those that the model lacks
  }
  tables.merges = merges_of(ranks);
  std::string skeleton = byte_level_skeleton(options, tables.vocabulary);
  return read_skeleton(std::move(skeleton), std::move(tables), name);
}

}  // namespace lathe::tokenize
