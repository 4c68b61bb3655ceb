#include "lathe/tokenize/bpe.h"

#include <algorithm>
#include <cstring>
#include <queue>

#include "lathe/base/utf8.h"
#include "lathe/tokenize/byte_alphabet.h"
#include "lathe/tokenize/characters.h"

namespace lathe::tokenize {
namespace {

constexpr size_t kShort = 48;  // symbols up to which searching all pairs beats a queue

/// The single character that `spelling` is, less `suffix`; nullopt for more or none.
std::optional<uint32_t> one_character(std::string_view spelling, std::string_view suffix) {
  if (spelling.size() <= suffix.size() || spelling.substr(spelling.size() - suffix.size()) != suffix) return {};
  spelling.remove_suffix(suffix.size());
  const Character c = character_at(spelling.data(), spelling.data() + spelling.size());
  return c.bytes == spelling.size() ? std::optional<uint32_t>(c.code) : std::nullopt;
}

}  // namespace

Bpe::Bpe(const Vocabulary& vocabulary, BpeSettings settings, MergeTable merges)
    : vocabulary_(vocabulary), settings_(std::move(settings)), merges_(std::move(merges)) {
  learn_symbols();
}

void Bpe::learn_symbols() {
  bytes_.fill(kNone);
  for (size_t byte = 0; settings_.bytes && byte < 256; ++byte) {
    const char value = static_cast<char>(byte);
    if (const auto id = vocabulary_.id(spell_bytes({&value, 1}))) bytes_[byte] = *id;
  }
  if (settings_.bytes) return;
  for (TokenId id = 0; id < vocabulary_.size(); ++id) {
    if (!vocabulary_.has(id)) continue;
    if (const auto code = one_character(vocabulary_.spelling(id), "")) characters_[*code] = id;
    if (const auto code = one_character(vocabulary_.spelling(id), settings_.end_of_word_suffix)) {
      last_characters_[*code] = id;
    }
  }
}

TokenId Bpe::symbol(uint32_t code, bool last) const {
  const auto& table = last ? last_characters_ : characters_;
  const auto found = table.find(code == kNoCharacter ? 0xFFFD : code);
  return found == table.end() ? kNone : found->second;
}

void Bpe::append_known(TokenId id, bool& unknown_before, std::vector<TokenId>& ids) const {
  const bool unknown = id == kNone;
  if (!unknown) ids.push_back(id);
  if (unknown && settings_.unknown && !(unknown_before && settings_.fuse_unknown)) ids.push_back(*settings_.unknown);
  unknown_before = unknown;
}

void Bpe::append_symbols(std::string_view word, std::vector<TokenId>& ids) const {
  bool unknown_before = false;
  if (settings_.bytes) {
    for (const char byte : word) append_known(bytes_[static_cast<unsigned char>(byte)], unknown_before, ids);
    return;
  }
  for (size_t at = 0; at < word.size();) {
    const CodePoint c = code_point_at(word, at);
    at += c.bytes;
    append_known(symbol(static_cast<uint32_t>(c.value), at == word.size()), unknown_before, ids);
  }
}

void Bpe::encode_word(std::string_view word, std::vector<TokenId>& ids) const {
  if (settings_.whole_words_first) {
    const auto whole = settings_.bytes ? vocabulary_.id(spell_bytes(word)) : vocabulary_.id(word);
    if (whole) {
      ids.push_back(*whole);
      return;
    }
  }
  const size_t first = ids.size();
  append_symbols(word, ids);
  const size_t count = ids.size() - first;
  ids.resize(first +
             (count <= kShort ? merge_short(ids.data() + first, count) : merge_long(ids.data() + first, count)));
}

size_t Bpe::merge_short(TokenId* ids, size_t count) const {
  MergeRule rules[kShort];  // rules[i] is that of ids[i], ids[i + 1]
  for (size_t i = 0; i + 1 < count; ++i) rules[i] = merges_.find(ids[i], ids[i + 1]);
  while (count > 1) {
    size_t best = 0;
    for (size_t i = 1; i + 1 < count; ++i) {
      if (rules[i].rank < rules[best].rank) best = i;
    }
    if (rules[best].rank == kNoRank) break;
    ids[best] = rules[best].result;
    --count;
    std::memmove(ids + best + 1, ids + best + 2, (count - best - 1) * sizeof(*ids));
    if (best + 1 < count) {
      std::memmove(rules + best + 1, rules + best + 2, (count - best - 2) * sizeof(*rules));
      rules[best] = merges_.find(ids[best], ids[best + 1]);
    }
    if (best > 0) rules[best - 1] = merges_.find(ids[best - 1], ids[best]);
  }
  return count;
}

namespace {

/// A pair that may be merged; stale when its left symbol is no longer the one it was made for.
struct Candidate {
  uint32_t rank;
  uint32_t left;  // index of the left symbol
  TokenId left_id, right_id, result;
  bool operator>(const Candidate& other) const { return rank != other.rank ? rank > other.rank : left > other.left; }
};

/// Symbols of a long word, linked so that merging is cheap.
struct LinkedSymbols {
  static constexpr uint32_t kEnd = UINT32_MAX;
  std::vector<TokenId> ids;
  std::vector<uint32_t> next, previous;

  explicit LinkedSymbols(const TokenId* first, size_t count) : ids(first, first + count), next(count), previous(count) {
    for (size_t i = 0; i < count; ++i) {
      next[i] = i + 1 < count ? static_cast<uint32_t>(i + 1) : kEnd;
      previous[i] = static_cast<uint32_t>(i) - 1;  // kEnd for the first
    }
  }
  /// Joins `left` and its right neighbour.
  void join(uint32_t left, TokenId result) {
    const uint32_t right = next[left];
    ids[left] = result;
    ids[right] = UINT32_MAX;
    next[left] = next[right];
    if (next[right] != kEnd) previous[next[right]] = left;
  }
};

}  // namespace

size_t Bpe::merge_long(TokenId* ids, size_t count) const {
  LinkedSymbols symbols(ids, count);
  std::priority_queue<Candidate, std::vector<Candidate>, std::greater<>> queue;
  const auto offer = [&](uint32_t left) {
    if (left == LinkedSymbols::kEnd || symbols.next[left] == LinkedSymbols::kEnd) return;
    const TokenId right_id = symbols.ids[symbols.next[left]];
    const MergeRule rule = merges_.find(symbols.ids[left], right_id);
    if (rule.rank != kNoRank) queue.push({rule.rank, left, symbols.ids[left], right_id, rule.result});
  };
  for (uint32_t i = 0; i + 1 < count; ++i) offer(i);
  while (!queue.empty()) {
    const Candidate best = queue.top();
    queue.pop();
    const uint32_t right = symbols.next[best.left];
    if (symbols.ids[best.left] != best.left_id || right == LinkedSymbols::kEnd || symbols.ids[right] != best.right_id) {
      continue;
    }
    symbols.join(best.left, best.result);
    offer(symbols.previous[best.left]);
    offer(best.left);
  }
  size_t kept = 0;
  for (uint32_t at = 0; at != LinkedSymbols::kEnd; at = symbols.next[at]) ids[kept++] = symbols.ids[at];
  return kept;
}

}  // namespace lathe::tokenize
