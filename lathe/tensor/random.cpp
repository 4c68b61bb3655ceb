#include "lathe/tensor/random.h"

#include <cmath>

#include "lathe/tensor/philox.h"

namespace lathe {
namespace {

/// Finalizer of SplitMix64 (Steele et al. 2014): spreads every input bit over the result.
uint64_t mix(uint64_t x) {
  x += 0x9e3779b97f4a7c15u;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

}  // namespace

Random Random::fork(uint64_t number) const { return Random(mix(key_ ^ mix(number))); }

Random Random::fork(std::string_view name) const {
  uint64_t hash = 0xcbf29ce484222325u;
  for (char c : name) hash = (hash ^ uint8_t(c)) * 0x100000001b3u;
  return fork(hash);
}

std::array<uint32_t, 4> Random::block(uint64_t counter) const {
  PhiloxWords words = philox({counter, counter >> 32, 0, 0}, key_);
  return {uint32_t(words.x), uint32_t(words.y), uint32_t(words.z), uint32_t(words.w)};
}

float Random::uniform(uint64_t n) const { return float(bits(n) >> 8) * 0x1p-24f; }

float Random::normal(uint64_t n) const {
  std::array<uint32_t, 4> bits = block(n / 2);
  uint32_t first = bits[n % 2 * 2], second = bits[n % 2 * 2 + 1];
  float radius = std::sqrt(-2.0f * std::log((float(first >> 8) + 1.0f) * 0x1p-24f));
  return radius * std::cos(6.2831853f * float(second >> 8) * 0x1p-24f);
}

}  // namespace lathe
