#pragma once

#include <string>
#include <string_view>

#include "lathe/base/gguf.h"

namespace lathe::test {

/// The bytes of a GGUF file, piece by piece, right or wrong: GgufBytes().u32(3).string("key").
class GgufBytes {
 public:
  template <class T>
  GgufBytes& number(T value) {
    bytes.append(reinterpret_cast<const char*>(&value), sizeof(T));
    return *this;
  }
  GgufBytes& u32(uint32_t value) { return number(value); }
  GgufBytes& u64(uint64_t value) { return number(value); }
  GgufBytes& type(GgufType value) { return u32(uint32_t(value)); }
  GgufBytes& string(std::string_view value) {
    u64(value.size());
    bytes += value;
    return *this;
  }
  GgufBytes& raw(std::string_view value) {
    bytes += value;
    return *this;
  }
  GgufBytes& start(uint64_t tensors, uint64_t fields, uint32_t version = 3) {
    return raw("GGUF").u32(version).u64(tensors).u64(fields);
  }
  /// A tensor's description; extents as files list them, the contiguous one first.
  GgufBytes& tensor(std::string_view name, std::initializer_list<uint64_t> extents, uint32_t type, uint64_t offset) {
    string(name).u32(uint32_t(extents.size()));
    for (uint64_t extent : extents) u64(extent);
    return u32(type).u64(offset);
  }
  /// Zeros up to a multiple of `alignment`, and `data` more.
  GgufBytes& data(size_t count, size_t alignment = 32) {
    bytes.resize((bytes.size() + alignment - 1) / alignment * alignment + count);
    return *this;
  }

  std::string bytes;
};

}  // namespace lathe::test
