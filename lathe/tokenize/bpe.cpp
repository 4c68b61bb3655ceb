#include "lathe/tokenize/bpe.h"

#include <algorithm>
#include <cstring>
#include <queue>

#include "lathe/base/utf8.h"
#include "lathe/tokenize/byte_alphabet.h"
#include "lathe/tokenize/byte_tokens.h"
#include "lathe/tokenize/characters.h"

namespace lathe::tokenize {
namespace {

constexpr size_t kShort = 48;  // symbols up to which searching all pairs beats a queue

/// The single character that `spelling` is, less `prefix` and `suffix`; nullopt for more or none.
std::optional<uint32_t> one_character(std::string_view spelling, std::string_view prefix, std::string_view suffix) {
  if (spelling.size() <= prefix.size() + suffix.size()) return {};
  if (spelling.substr(0, prefix.size()) != prefix) return {};
  if (spelling.substr(spelling.size() - suffix.size()) != suffix) return {};
  spelling.remove_prefix(prefix.size());
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
  for (size_t byte = 0; settings_.bytes && byte < 256; ++byte) {
    const char value = static_cast<char>(byte);
    const std::string spelling = spell_bytes({&value, 1});
    bytes_[byte] = vocabulary_.id(spelling).value_or(kNone);
    last_bytes_[byte] = vocabulary_.id(spelling + settings_.end_of_word_suffix).value_or(kNone);
  }
  if (settings_.bytes) return;
  bytes_.fill(kNone);
  if (settings_.byte_fallback) bytes_ = byte_tokens(vocabulary_);
  for (TokenId id = 0; id < vocabulary_.size(); ++id) {
    if (!vocabulary_.has(id)) continue;
    for (int inside = 0; inside < 2; ++inside) {
      for (int last = 0; last < 2; ++last) {
        const auto code = one_character(vocabulary_.spelling(id), inside ? settings_.inside_prefix : "",
                                        last ? settings_.end_of_word_suffix : "");
        if (code) characters_[inside][last][*code] = id;
      }
    }
  }
}

TokenId Bpe::symbol(uint32_t code, bool first, bool last) const {
  const CharacterTable& table = characters_[!first][last];
  const auto found = table.find(code == kNoCharacter ? 0xFFFD : code);
  return found == table.end() ? kNone : found->second;
}

template <class Use>
bool Bpe::use_bytes(std::string_view character, size_t begin, Use use) const {
  if (!settings_.byte_fallback) return false;
  for (const char byte : character) {
    if (bytes_[static_cast<unsigned char>(byte)] == kNone) return false;
  }
  for (size_t i = 0; i < character.size(); ++i) {
    use(bytes_[static_cast<unsigned char>(character[i])], begin + i + 1, false);
  }
  return true;
}

/// Calls use(id, end, joins) for what merging starts from; `joins`: it becomes part of the unknown token before it.
template <class Use>
void Bpe::symbols(std::string_view word, Use use) const {
  bool unknown_before = false;
  for (size_t at = 0; at < word.size();) {
    const size_t begin = at;
    TokenId id = kNone;
    if (settings_.bytes) {
      const auto byte = static_cast<unsigned char>(word[at++]);
      id = at == word.size() ? last_bytes_[byte] : bytes_[byte];
    } else {
      const Character c = character_at(word.data() + at, word.data() + word.size());
      at += c.bytes;
      id = symbol(c.code, begin == 0, at == word.size());
    }
    const bool known = id != kNone;
    if (known) use(id, at, false);
    if (!known && use_bytes(word.substr(begin, at - begin), begin, use)) continue;
    if (!known && settings_.unknown) use(*settings_.unknown, at, unknown_before && settings_.fuse_unknown);
    unknown_before = !known;
  }
}

std::optional<TokenId> Bpe::whole_word(std::string_view word) const {
  if (!settings_.whole_words_first) return std::nullopt;
  const auto id = settings_.bytes ? vocabulary_.id(spell_bytes(word)) : vocabulary_.id(word);
  return id && *id < settings_.hidden.size() && !settings_.hidden[*id] ? id : std::nullopt;
}

void Bpe::encode_word(std::string_view word, std::vector<TokenId>& ids) const {
  if (const auto whole = whole_word(word)) return ids.push_back(*whole);
  const size_t first = ids.size();
  symbols(word, [&](TokenId id, size_t, bool joins) {
    if (!joins) ids.push_back(id);
  });
  const size_t count = ids.size() - first;
  TokenId* made = ids.data() + first;
  ids.resize(first + (count <= kShort ? merge_short(made, count) : merge_long(made, count, nullptr)));
}

void Bpe::encode_spans(std::string_view word, std::vector<TokenId>& ids, std::vector<size_t>& ends) const {
  if (const auto whole = whole_word(word)) return ids.push_back(*whole), ends.push_back(word.size());
  const size_t first = ids.size(), first_end = ends.size();
  symbols(word, [&](TokenId id, size_t end, bool joins) {
    if (joins) {
      ends.back() = end;
    } else {
      ids.push_back(id);
      ends.push_back(end);
    }
  });
  const size_t kept = merge_long(ids.data() + first, ids.size() - first, ends.data() + first_end);
  ids.resize(first + kept);
  ends.resize(first_end + kept);
}

/// Only text of characters that are the same wherever they stand, and only where no token holds the two together.
std::array<bool, 256> Bpe::cuts_before(std::string_view mark) const {
  std::array<bool, 256> cuts{};
  const bool plain = !settings_.bytes && settings_.inside_prefix.empty() && settings_.end_of_word_suffix.empty();
  const auto unknown = [&](std::string_view text) {
    bool any = false;
    symbols(text, [&](TokenId id, size_t, bool) { any = any || id == settings_.unknown; });
    return any;
  };
  if (!plain || settings_.whole_words_first || (settings_.fuse_unknown && unknown(mark))) return cuts;
  cuts.fill(true);
  for (TokenId id = 0; id < vocabulary_.size(); ++id) {
    const std::string_view spelling = vocabulary_.spelling(id);
    for (size_t at = spelling.find(mark, 1); at < spelling.size(); at = spelling.find(mark, at + 1)) {
      cuts[static_cast<unsigned char>(spelling[at - 1])] = false;
    }
  }
  return cuts;
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

/// `ends`, of the symbols and then of what they became, may be null.
size_t Bpe::merge_long(TokenId* ids, size_t count, size_t* ends) const {
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
  for (uint32_t at = 0; count > 0 && at != LinkedSymbols::kEnd; at = symbols.next[at]) {
    const uint32_t next = symbols.next[at];
    if (ends) ends[kept] = ends[(next == LinkedSymbols::kEnd ? count : next) - 1];
    ids[kept++] = symbols.ids[at];
  }
  return kept;
}

}  // namespace lathe::tokenize
