#include "lathe/base/hash.h"

#include <xxhash.h>

namespace lathe {

/// 64- and 128-bit digests of one XXH3 stream share its state.
struct Hasher::States {
  XXH3_state_t* stream = XXH3_createState();
  States() { XXH3_128bits_reset(stream); }
  ~States() { XXH3_freeState(stream); }
  States(const States&) = delete;
};

uint64_t hash64(Bytes bytes, uint64_t seed) { return XXH3_64bits_withSeed(bytes.data(), bytes.size(), seed); }
uint64_t hash64(std::string_view text, uint64_t seed) { return hash64(bytes_of(text), seed); }

Hash128 hash128(Bytes bytes) {
  XXH128_hash_t value = XXH3_128bits(bytes.data(), bytes.size());
  return {value.high64, value.low64};
}
Hash128 hash128(std::string_view text) { return hash128(bytes_of(text)); }

std::string hex(uint64_t value) {
  std::string digits(16, '0');
  for (auto digit = digits.rbegin(); digit != digits.rend(); ++digit, value >>= 4)
    *digit = "0123456789abcdef"[value & 15];
  return digits;
}
std::string hex(const Hash128& value) { return hex(value.high) + hex(value.low); }

Hasher::Hasher() : states_(std::make_unique<States>()) {}
Hasher::Hasher(Hasher&&) noexcept = default;
Hasher& Hasher::operator=(Hasher&&) noexcept = default;
Hasher::~Hasher() = default;

void Hasher::add(Bytes bytes) { XXH3_128bits_update(states_->stream, bytes.data(), bytes.size()); }
uint64_t Hasher::digest64() const { return XXH3_64bits_digest(states_->stream); }
Hash128 Hasher::digest128() const {
  XXH128_hash_t value = XXH3_128bits_digest(states_->stream);
  return {value.high64, value.low64};
}

}  // namespace lathe
