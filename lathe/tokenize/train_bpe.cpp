#include "lathe/tokenize/train_bpe.h"

#include <algorithm>
#include <queue>
#include <unordered_map>

#include "lathe/tokenize/pair_counts.h"

namespace lathe::tokenize {
namespace {

/// A pair with the words in which it was found together. A pair may be queued more than once, each time with the words
/// that came since; `count` is what it was when queued and may be out of date.
struct Queued {
  int64_t count;
  uint64_t pair;
  size_t first_word, words;  // in Learner::found_in_
  bool operator<(const Queued& other) const {
    return count != other.count ? count < other.count
           : pair != other.pair ? pair > other.pair
                                : first_word > other.first_word;
  }
};

/// What merging one pair changes, by the other token of the pairs it touches.
class Changes {
 public:
  void resize(size_t tokens) { deltas_.resize(tokens), found_.resize(tokens), last_word_.resize(tokens, kNoWord); }

  void lose(TokenId other, int64_t count) { touch(other) -= count; }
  void gain(TokenId other, int64_t count, uint32_t word) {
    touch(other) += count;
    if (last_word_[other] == word) return;
    last_word_[other] = word;
    found_[other].push_back(word);
  }
  /// Calls use(other, delta, words) for each in order of touching, then forgets them.
  template <class Use>
  void take(Use use) {
    for (const TokenId other : touched_) {
      use(other, deltas_[other].change, found_[other]);
      deltas_[other] = {};
      found_[other].clear();
      last_word_[other] = kNoWord;
    }
    touched_.clear();
  }

 private:
  static constexpr uint32_t kNoWord = UINT32_MAX;
  struct Delta {
    int64_t change = 0;
    bool touched = false;
  };
  int64_t& touch(TokenId other) {
    if (!deltas_[other].touched) {
      deltas_[other].touched = true;
      touched_.push_back(other);
    }
    return deltas_[other].change;
  }

  std::vector<Delta> deltas_;
  std::vector<std::vector<uint32_t>> found_;
  std::vector<uint32_t> last_word_;
  std::vector<TokenId> touched_;
};

class Learner {
 public:
  Learner(SymbolWords words, std::vector<std::string> tokens, std::string inside_prefix)
      : words_(std::move(words)), tokens_(std::move(tokens)), inside_prefix_(std::move(inside_prefix)) {
    for (TokenId id = 0; id < tokens_.size(); ++id) ids_.emplace(tokens_[id], id);
    lengths_.resize(words_.counts.size());
    for (size_t i = 0; i < lengths_.size(); ++i) {
      lengths_[i] = static_cast<uint32_t>(words_.first[i + 1] - words_.first[i]);
    }
  }

  LearntMerges learn(int64_t vocabulary_size, int64_t minimum_frequency) {
    count_pairs();
    while (static_cast<int64_t>(tokens_.size()) < vocabulary_size && !queue_.empty()) {
      Queued top = queue_.top();
      queue_.pop();
      const int64_t count = counts_[top.pair];
      if (top.count != count) {
        top.count = count;
        queue_.push(top);
        continue;
      }
      if (count < std::max<int64_t>(1, minimum_frequency)) break;
      merge(top);
    }
    return {std::move(tokens_), ranked_merges()};
  }

 private:
  void count_pairs();
  void merge(const Queued& top);
  void merge_in_word(uint32_t word, TokenId left, TokenId right, TokenId result);
  void apply(uint64_t pair, int64_t delta, const std::vector<uint32_t>& words);
  TokenId token_of(uint64_t pair);
  std::vector<std::pair<TokenId, TokenId>> ranked_merges() const;

  SymbolWords words_;
  std::vector<uint32_t> lengths_;  // symbols left of each word
  std::vector<std::string> tokens_;
  std::string inside_prefix_;
  std::unordered_map<std::string, TokenId> ids_;
  PairCounts counts_;
  std::vector<uint32_t> found_in_;
  std::priority_queue<Queued> queue_;
  std::vector<uint64_t> merged_;  // pairs in order of merging, some more than once
  Changes lost_left_, lost_right_, won_left_, won_right_;
};

void Learner::count_pairs() {
  std::unordered_map<uint64_t, std::vector<uint32_t>> found;
  for (uint32_t word = 0; word < lengths_.size(); ++word) {
    const TokenId* symbols = words_.symbols.data() + words_.first[word];
    for (uint32_t i = 0; i + 1 < lengths_[word]; ++i) {
      const uint64_t pair = pair_of(symbols[i], symbols[i + 1]);
      counts_[pair] += words_.counts[word];
      std::vector<uint32_t>& words = found[pair];
      if (words.empty() || words.back() != word) words.push_back(word);
    }
  }
  for (const auto& [pair, words] : found) apply(pair, 0, words);
}

/// Changes the count of `pair` and queues it when it was found in `words`.
void Learner::apply(uint64_t pair, int64_t delta, const std::vector<uint32_t>& words) {
  int64_t& count = counts_[pair];
  count += delta;
  if (words.empty() || count <= 0) return;
  queue_.push({count, pair, found_in_.size(), words.size()});
  found_in_.insert(found_in_.end(), words.begin(), words.end());
}

TokenId Learner::token_of(uint64_t pair) {
  const std::string& right = tokens_[right_of(pair)];
  const bool inside = right.compare(0, inside_prefix_.size(), inside_prefix_) == 0;
  std::string made = tokens_[left_of(pair)] + right.substr(inside ? inside_prefix_.size() : 0);
  const auto [place, fresh] = ids_.emplace(made, static_cast<TokenId>(tokens_.size()));
  if (fresh) tokens_.push_back(std::move(made));
  return place->second;
}

void Learner::merge(const Queued& top) {
  const TokenId left = left_of(top.pair), right = right_of(top.pair), result = token_of(top.pair);
  merged_.push_back(top.pair);
  for (Changes* changes : {&lost_left_, &lost_right_, &won_left_, &won_right_}) changes->resize(tokens_.size());
  for (size_t i = 0; i < top.words; ++i) merge_in_word(found_in_[top.first_word + i], left, right, result);
  lost_left_.take([&](TokenId other, int64_t delta, const auto& words) { apply(pair_of(other, left), delta, words); });
  lost_right_.take(
      [&](TokenId other, int64_t delta, const auto& words) { apply(pair_of(right, other), delta, words); });
  won_left_.take([&](TokenId other, int64_t delta, const auto& words) { apply(pair_of(other, result), delta, words); });
  won_right_.take(
      [&](TokenId other, int64_t delta, const auto& words) { apply(pair_of(result, other), delta, words); });
}

/// Left to right; a pair that a merge before it made counts as made, as if each merge was done alone.
void Learner::merge_in_word(uint32_t word, TokenId left, TokenId right, TokenId result) {
  TokenId* symbols = words_.symbols.data() + words_.first[word];
  const uint32_t length = lengths_[word];
  const int64_t count = words_.counts[word];
  uint32_t kept = 0;
  for (uint32_t i = 0; i < length; ++kept) {
    if (symbols[i] != left || i + 1 == length || symbols[i + 1] != right) {
      symbols[kept] = symbols[i++];
      continue;
    }
    if (kept > 0) {
      lost_left_.lose(symbols[kept - 1], count);
      won_left_.gain(symbols[kept - 1], count, word);
    }
    i += 2;
    symbols[kept] = result;
    if (i == length) continue;
    lost_right_.lose(symbols[i], count);
    if (symbols[i] == result) {
      won_left_.gain(result, count, word);  // (result, result) is kept in one place
    } else {
      won_right_.gain(symbols[i], count, word);
    }
  }
  lengths_[word] = kept;
}

std::vector<std::pair<TokenId, TokenId>> Learner::ranked_merges() const {
  std::unordered_map<uint64_t, size_t> last;
  for (size_t i = 0; i < merged_.size(); ++i) last[merged_[i]] = i;
  std::vector<std::pair<TokenId, TokenId>> merges;
  for (size_t i = 0; i < merged_.size(); ++i) {
    if (last[merged_[i]] == i) merges.emplace_back(left_of(merged_[i]), right_of(merged_[i]));
  }
  return merges;
}

}  // namespace

LearntMerges learn_merges(SymbolWords words, std::vector<std::string> tokens, int64_t vocabulary_size,
                          int64_t minimum_frequency, std::string inside_prefix) {
  return Learner(std::move(words), std::move(tokens), std::move(inside_prefix))
      .learn(vocabulary_size, minimum_frequency);
}

}  // namespace lathe::tokenize
