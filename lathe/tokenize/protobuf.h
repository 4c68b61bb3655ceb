#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace lathe::tokenize {

/// One field of a protocol buffer's message, as it lies on the wire.
struct ProtobufField {
  uint64_t number = 0;
  uint64_t value = 0;      // of a varint or of fixed 32 or 64 bits
  std::string_view bytes;  // of a string, a message or packed values
};

/// Walks the fields of a message. Throws Error, naming `place`, where the bytes are no message.
class ProtobufReader {
 public:
  ProtobufReader(std::string_view message, std::string_view place) : rest_(message), place_(place) {}
  /// The next field; nullopt at the end.
  std::optional<ProtobufField> next();

 private:
  uint64_t varint();
  std::string_view take(uint64_t bytes);

  std::string_view rest_, place_;
};

}  // namespace lathe::tokenize
