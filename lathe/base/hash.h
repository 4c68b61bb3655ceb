#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "lathe/base/bytes.h"

namespace lathe {

/// A 128-bit hash: XXH3. Fast and well mixed, for checksums and deduplication; not for secrets.
struct Hash128 {
  uint64_t high = 0;
  uint64_t low = 0;
  auto operator<=>(const Hash128&) const = default;
};

/// XXH3 of all bytes at once. The same on every machine, so it may be stored in files.
uint64_t hash64(Bytes bytes, uint64_t seed = 0);
uint64_t hash64(std::string_view text, uint64_t seed = 0);
Hash128 hash128(Bytes bytes);
Hash128 hash128(std::string_view text);

/// Lower-case hex, most significant digit first: 16 or 32 digits, as `xxh64sum -H3` and `xxh128sum` print them.
std::string hex(uint64_t value);
std::string hex(const Hash128& value);

/// The same hashes of bytes that arrive in pieces: equal to hash64 and hash128 of the whole. One thread.
class Hasher {
 public:
  Hasher();
  Hasher(Hasher&&) noexcept;
  Hasher& operator=(Hasher&&) noexcept;
  ~Hasher();

  void add(Bytes bytes);
  void add(std::string_view text) { add(bytes_of(text)); }
  uint64_t digest64() const;
  Hash128 digest128() const;

 private:
  struct States;
  std::unique_ptr<States> states_;
};

}  // namespace lathe
