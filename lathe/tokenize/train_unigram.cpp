#include "lathe/tokenize/train_unigram.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string_view>
#include <unordered_map>

#include "lathe/base/error.h"
#include "lathe/tokenize/characters.h"
#include "lathe/tokenize/parallel.h"
#include "lathe/tokenize/prefix_trie.h"

namespace lathe::tokenize {
namespace {

constexpr size_t kChunks = 16;                // of words, whose sums are added in this order whatever the threads
constexpr size_t kMostSeedWords = 1'000'000;  // distinct words that candidates come from
constexpr int kRoundsBetweenPruning = 2;
constexpr double kKeptAtOnce = 0.75;
constexpr double kLeastExpected = 0.5;  // a piece that is expected to occur less often is dropped
constexpr double kNever = -std::numeric_limits<double>::infinity();

using Words = std::vector<std::pair<std::string, int64_t>>;

struct Candidate {
  std::string text;
  double score;  // a frequency at first, then log probability
  bool single;   // one character: is never dropped
};

/// The derivative of log gamma: makes rare pieces rarer (a sparse prior).
double digamma(double x) {
  double result = 0;
  for (; x < 7; ++x) result -= 1 / x;
  x -= 0.5;
  const double squared = 1 / (x * x);
  return result + std::log(x) + squared * (1.0 / 24 - squared * (7.0 / 960 - squared * (31.0 / 8064)));
}

double log_sum(double a, double b) {
  if (a == kNever) return b;
  if (b == kNever) return a;
  const double larger = std::max(a, b);
  return larger + std::log1p(std::exp(std::min(a, b) - larger));
}

std::vector<size_t> character_starts(std::string_view word) {
  std::vector<size_t> starts;
  for (size_t at = 0; at < word.size(); at += character_at(word.data() + at, word.data() + word.size()).bytes) {
    starts.push_back(at);
  }
  starts.push_back(word.size());
  return starts;
}

/// All characters, and the substrings that save the most: frequency times length.
std::vector<Candidate> seed_candidates(const Words& words, const UnigramTraining& training) {
  std::unordered_map<std::string_view, int64_t> frequency;
  for (size_t w = 0; w < words.size(); ++w) {
    const std::string_view word = words[w].first;
    const std::vector<size_t> starts = character_starts(word);
    const size_t longest = w < kMostSeedWords ? training.longest : 1;
    for (size_t i = 0; i + 1 < starts.size(); ++i) {
      for (size_t j = i + 1; j < starts.size() && j - i <= longest; ++j) {
        frequency[word.substr(starts[i], starts[j] - starts[i])] += words[w].second;
      }
    }
  }
  std::vector<Candidate> candidates;
  for (const auto& [text, count] : frequency) {
    const bool single = character_at(text.data(), text.data() + text.size()).bytes == text.size();
    if (!single && count < training.minimum_frequency) continue;
    const auto characters = static_cast<double>(character_starts(text).size() - 1);
    candidates.push_back({std::string(text), static_cast<double>(count) * characters, single});
  }
  std::sort(candidates.begin(), candidates.end(), [](const Candidate& a, const Candidate& b) {
    if (a.single != b.single) return a.single;
    return a.score != b.score ? a.score > b.score : a.text < b.text;
  });
  if (candidates.size() > training.seeds) candidates.resize(training.seeds);
  double sum = 0;
  for (const Candidate& one : candidates) sum += one.score;
  for (Candidate& one : candidates) one.score = std::log(one.score / sum);
  return candidates;
}

/// The ways through one word.
class Lattice {
 public:
  Lattice(const PrefixTrie& trie, const std::vector<Candidate>& candidates) : trie_(trie), candidates_(candidates) {}

  /// Adds to `expected`, by candidate, how often each is expected to occur in `count` of this word; returns the log
  /// probability of the word.
  double add_expected(std::string_view word, double count, std::vector<double>& expected) {
    forward_.assign(word.size() + 1, kNever);
    backward_.assign(word.size() + 1, kNever);
    forward_[0] = backward_[word.size()] = 0;
    each_start(word, [&](size_t at) {
      trie_.prefixes(word.substr(at), [&](size_t bytes, TokenId id) {
        forward_[at + bytes] = log_sum(forward_[at + bytes], forward_[at] + candidates_[id].score);
      });
    });
    for (size_t at = word.size(); at-- > 0;) {
      if (forward_[at] == kNever) continue;
      trie_.prefixes(word.substr(at), [&](size_t bytes, TokenId id) {
        backward_[at] = log_sum(backward_[at], candidates_[id].score + backward_[at + bytes]);
      });
    }
    const double total = forward_[word.size()];
    each_start(word, [&](size_t at) {
      trie_.prefixes(word.substr(at), [&](size_t bytes, TokenId id) {
        expected[id] += count * std::exp(forward_[at] + candidates_[id].score + backward_[at + bytes] - total);
      });
    });
    return total;
  }

  /// The most probable pieces of `word`, less the way of one piece when `divides`.
  std::vector<TokenId> best(std::string_view word, bool divides) {
    forward_.assign(word.size() + 1, kNever);
    last_.assign(word.size() + 1, {0, 0});
    forward_[0] = 0;
    each_start(word, [&](size_t at) {
      trie_.prefixes(word.substr(at), [&](size_t bytes, TokenId id) {
        if (divides && bytes == word.size()) return;
        const double score = forward_[at] + candidates_[id].score;
        if (score <= forward_[at + bytes]) return;
        forward_[at + bytes] = score;
        last_[at + bytes] = {at, id};
      });
    });
    std::vector<TokenId> pieces;
    if (forward_[word.size()] == kNever) return pieces;
    for (size_t at = word.size(); at > 0; at = last_[at].first) pieces.push_back(last_[at].second);
    return pieces;
  }

 private:
  /// Calls use(at) for the places that pieces lead to.
  template <class Use>
  void each_start(std::string_view word, Use use) {
    for (size_t at = 0; at < word.size(); ++at) {
      if (forward_[at] != kNever) use(at);
    }
  }

  const PrefixTrie& trie_;
  const std::vector<Candidate>& candidates_;
  std::vector<double> forward_, backward_;
  std::vector<std::pair<size_t, TokenId>> last_;
};

class Learner {
 public:
  Learner(Words words, const UnigramTraining& training)
      : words_(std::move(words)), training_(training), candidates_(seed_candidates(words_, training)) {
    const auto singles = static_cast<size_t>(
        std::count_if(candidates_.begin(), candidates_.end(), [](const Candidate& one) { return one.single; }));
    require(singles <= training.pieces, "training a tokenizer: ", singles,
            " characters do not fit into a vocabulary with room for ", training.pieces,
            " pieces; raise it, or train a byte-level kind");
  }

  std::vector<std::pair<std::string, double>> learn() {
    const size_t enough = training_.pieces + training_.pieces / 10;
    for (;;) {
      for (int round = 0; round < kRoundsBetweenPruning; ++round) estimate();
      if (candidates_.size() <= enough) break;
      const auto kept = static_cast<size_t>(static_cast<double>(candidates_.size()) * kKeptAtOnce);
      keep_most_useful(std::max(enough, kept));
    }
    std::stable_sort(candidates_.begin(), candidates_.end(), [](const Candidate& a, const Candidate& b) {
      return a.single != b.single ? a.single : a.score > b.score;
    });
    if (candidates_.size() > training_.pieces) candidates_.resize(training_.pieces);
    std::vector<std::pair<std::string, double>> pieces;
    for (const Candidate& one : candidates_) pieces.emplace_back(one.text, one.score);
    std::sort(pieces.begin(), pieces.end(), [](const auto& a, const auto& b) {
      return a.second != b.second ? a.second > b.second : a.first < b.first;
    });
    return pieces;
  }

 private:
  PrefixTrie trie() const {
    PrefixTrie trie(candidates_.size() * 8);
    for (TokenId id = 0; id < candidates_.size(); ++id) trie.add(candidates_[id].text, id);
    return trie;
  }

  /// Calls use(lattice, word, count, sums) for all words; returns the sums, by candidate.
  template <class Use>
  std::vector<double> sum_over_words(Use use) const {
    const PrefixTrie pieces = trie();
    std::vector<std::vector<double>> sums(kChunks);
    for_each_parallel(kChunks, training_.threads, [&](size_t chunk) {
      sums[chunk].assign(candidates_.size(), 0);
      Lattice lattice(pieces, candidates_);
      for (size_t w = chunk; w < words_.size(); w += kChunks) {
        use(lattice, words_[w].first, static_cast<double>(words_[w].second), sums[chunk]);
      }
    });
    for (size_t chunk = 1; chunk < kChunks; ++chunk) {
      for (size_t id = 0; id < candidates_.size(); ++id) sums[0][id] += sums[chunk][id];
    }
    return std::move(sums[0]);
  }

  /// One round of expectation maximization.
  void estimate() {
    const std::vector<double> expected =
        sum_over_words([](Lattice& lattice, std::string_view word, double count, std::vector<double>& sums) {
          lattice.add_expected(word, count, sums);
        });
    std::vector<Candidate> kept;
    std::vector<double> counts;
    double sum = 0;
    for (TokenId id = 0; id < candidates_.size(); ++id) {
      if (!candidates_[id].single && expected[id] < kLeastExpected) continue;
      counts.push_back(std::max(expected[id], kLeastExpected));
      sum += counts.back();
      kept.push_back(std::move(candidates_[id]));
    }
    for (size_t i = 0; i < kept.size(); ++i) kept[i].score = digamma(counts[i]) - digamma(sum);
    candidates_ = std::move(kept);
  }

  /// Keeps `count` candidates: those without which the texts would lose most of their probability.
  void keep_most_useful(size_t count) {
    const std::vector<double> used =
        sum_over_words([](Lattice& lattice, std::string_view word, double occurrences, std::vector<double>& sums) {
          for (const TokenId id : lattice.best(word, false)) sums[id] += occurrences;
        });
    const PrefixTrie pieces = trie();
    std::vector<double> losses(candidates_.size());
    for_each_parallel(kChunks, training_.threads, [&](size_t chunk) {
      Lattice lattice(pieces, candidates_);
      for (size_t id = chunk; id < candidates_.size(); id += kChunks) {
        double replaced = 0;
        for (const TokenId other : lattice.best(candidates_[id].text, true)) replaced += candidates_[other].score;
        losses[id] = candidates_[id].single ? -kNever : used[id] * (candidates_[id].score - replaced);
      }
    });
    std::vector<TokenId> order(candidates_.size());
    for (TokenId id = 0; id < order.size(); ++id) order[id] = id;
    std::stable_sort(order.begin(), order.end(), [&](TokenId a, TokenId b) { return losses[a] > losses[b]; });
    order.resize(std::min(count, order.size()));
    std::sort(order.begin(), order.end());
    std::vector<Candidate> kept;
    for (const TokenId id : order) kept.push_back(std::move(candidates_[id]));
    candidates_ = std::move(kept);
  }

  Words words_;
  UnigramTraining training_;
  std::vector<Candidate> candidates_;
};

}  // namespace

std::vector<std::pair<std::string, double>> learn_pieces(Words words, const UnigramTraining& training) {
  return Learner(std::move(words), training).learn();
}

}  // namespace lathe::tokenize
