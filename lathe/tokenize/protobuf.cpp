#include "lathe/tokenize/protobuf.h"

#include "lathe/base/error.h"

namespace lathe::tokenize {

uint64_t ProtobufReader::varint() {
  uint64_t value = 0;
  for (int shift = 0; shift < 64 && !rest_.empty(); shift += 7) {
    const auto byte = static_cast<unsigned char>(rest_.front());
    rest_.remove_prefix(1);
    value |= uint64_t{byte & 0x7Fu} << shift;
    if (byte < 0x80) return value;
  }
  throw Error(text(place_, " is damaged: a number does not end"));
}

std::string_view ProtobufReader::take(uint64_t bytes) {
  require(bytes <= rest_.size(), place_, " is damaged: a field of ", bytes, " bytes where ", rest_.size(), " are left");
  const std::string_view taken = rest_.substr(0, bytes);
  rest_.remove_prefix(bytes);
  return taken;
}

std::optional<ProtobufField> ProtobufReader::next() {
  if (rest_.empty()) return std::nullopt;
  const uint64_t key = varint();
  ProtobufField field{key >> 3, 0, {}};
  switch (key & 7) {
    case 0:
      field.value = varint();
      return field;
    case 2:
      field.bytes = take(varint());
      return field;
    case 1:
    case 5: {
      const std::string_view fixed = take((key & 7) == 1 ? 8 : 4);
      for (size_t i = fixed.size(); i-- > 0;) field.value = field.value << 8 | static_cast<unsigned char>(fixed[i]);
      return field;
    }
    default:
      throw Error(text(place_, " is damaged: a field of wire type ", key & 7));
  }
}

}  // namespace lathe::tokenize
