#include "lathe/tensor/random.h"

#include <cmath>

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
  uint32_t c0 = uint32_t(counter), c1 = uint32_t(counter >> 32), c2 = 0, c3 = 0;
  uint32_t k0 = uint32_t(key_), k1 = uint32_t(key_ >> 32);
  for (int round = 0; round < 10; ++round) {
    uint64_t p0 = uint64_t(0xd2511f53u) * c0, p1 = uint64_t(0xcd9e8d57u) * c2;
    c0 = uint32_t(p1 >> 32) ^ c1 ^ k0;
    c1 = uint32_t(p1);
    c2 = uint32_t(p0 >> 32) ^ c3 ^ k1;
    c3 = uint32_t(p0);
    k0 += 0x9e3779b9u;
    k1 += 0xbb67ae85u;
  }
  return {c0, c1, c2, c3};
}

float Random::uniform(uint64_t n) const { return float(bits(n) >> 8) * 0x1p-24f; }

float Random::normal(uint64_t n) const {
  std::array<uint32_t, 4> bits = block(n / 2);
  uint32_t first = bits[n % 2 * 2], second = bits[n % 2 * 2 + 1];
  float radius = std::sqrt(-2.0f * std::log((float(first >> 8) + 1.0f) * 0x1p-24f));
  return radius * std::cos(6.2831853f * float(second >> 8) * 0x1p-24f);
}

}  // namespace lathe
