#include "lathe/data/sample_order.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <numeric>

#include "lathe/base/error.h"

namespace lathe::data {
namespace {

constexpr int kRounds = 6;

/// The finalizer of SplitMix64 (Steele, Lea and Flood 2014).
uint64_t mix(uint64_t x) {
  x += 0x9e3779b97f4a7c15u;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

/// Places of a block for each weight: their share rounded down, at least one, the rest to the largest remainders.
std::vector<int64_t> quotas(const std::vector<double>& weights) {
  const double total = std::accumulate(weights.begin(), weights.end(), 0.0);
  std::vector<int64_t> places(weights.size());
  std::vector<double> missing(weights.size());
  for (size_t c = 0; c < weights.size(); ++c) {
    const double share = weights[c] / total * Mixture::kBlock;
    places[c] = std::max<int64_t>(1, static_cast<int64_t>(std::floor(share)));
    missing[c] = share - static_cast<double>(places[c]);
  }
  int64_t left = Mixture::kBlock - std::accumulate(places.begin(), places.end(), int64_t{0});
  while (left != 0) {
    const auto to = left > 0 ? std::max_element(missing.begin(), missing.end())
                             : std::max_element(places.begin(), places.end()) - places.begin() + missing.begin();
    const int64_t change = left > 0 ? 1 : -1;
    places[to - missing.begin()] += change;
    *to -= static_cast<double>(change);
    left -= change;
  }
  return places;
}

}  // namespace

uint64_t derive_key(uint64_t seed, uint64_t part) { return mix(mix(seed) ^ (part * 0xd1342543de82ef95u)); }

Permutation::Permutation(uint64_t size, uint64_t key) : size_(size), key_(key) {
  half_bits_ = std::max(1, (static_cast<int>(std::bit_width(size > 1 ? size - 1 : 1)) + 1) / 2);
}

uint64_t Permutation::operator()(uint64_t index) const {
  const uint64_t mask = (uint64_t{1} << half_bits_) - 1;
  do {
    uint64_t left = index >> half_bits_, right = index & mask;
    for (int round = 0; round < kRounds; ++round) {
      const uint64_t next = left ^ (mix(key_ + static_cast<uint64_t>(round) * 0x632be59bd9b4e019u + right) & mask);
      left = right;
      right = next;
    }
    index = (left << half_bits_) | right;
  } while (index >= size_);
  return index;
}

Mixture::Mixture(const std::vector<double>& weights, uint64_t seed) : seed_(seed) {
  require(!weights.empty(), "data: no corpus given");
  require(weights.size() <= kBlock / 16, "data: ", weights.size(), " corpora; at most ", kBlock / 16, " can be mixed");
  for (double weight : weights)
    require(weight > 0 && std::isfinite(weight), "data: a corpus has weight ", weight, "; weights must be above 0");
  ends_ = quotas(weights);
  std::partial_sum(ends_.begin(), ends_.end(), ends_.begin());
}

Mixture::Pick Mixture::pick(int64_t number) const {
  if (ends_.size() == 1) return {0, number};
  const int64_t block = number / kBlock;
  const Permutation shuffled(kBlock, derive_key(seed_, static_cast<uint64_t>(block)));
  const int64_t place = static_cast<int64_t>(shuffled(static_cast<uint64_t>(number % kBlock)));
  const auto corpus = static_cast<int>(std::upper_bound(ends_.begin(), ends_.end(), place) - ends_.begin());
  const int64_t begin = corpus == 0 ? 0 : ends_[corpus - 1];
  return {corpus, block * (ends_[corpus] - begin) + place - begin};
}

WindowOrder::WindowOrder(int64_t tokens, int64_t length, uint64_t seed, const std::string& name)
    : length_(length), windows_((tokens - 1) / length), spare_((tokens - 1) % length), seed_(seed) {
  require(tokens > length, "data: ", name, " holds ", tokens, " tokens, fewer than one sequence of ", length,
          " and its last target: give more text or a sequence_length of at most ", std::max<int64_t>(tokens - 1, 1));
}

WindowOrder::Window WindowOrder::window(int64_t number) const {
  const int64_t epoch = number / windows_;
  const uint64_t key = derive_key(seed_, static_cast<uint64_t>(epoch));
  const Permutation shuffled(static_cast<uint64_t>(windows_), key);
  const auto place = static_cast<int64_t>(shuffled(static_cast<uint64_t>(number % windows_)));
  const auto offset = static_cast<int64_t>(derive_key(key, 1) % static_cast<uint64_t>(spare_ + 1));
  return {offset + place * length_, epoch};
}

}  // namespace lathe::data
