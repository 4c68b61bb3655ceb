// Any bytes as a GGUF file: an Error, or metadata that can be read and tensors that lie apart inside the file.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "lathe/base/error.h"
#include "lathe/base/gguf_writer.h"

namespace {

using namespace lathe;

/// Every access must give a value or an Error.
void read(const GgufFields& fields, std::string_view key) {
  auto attempt = [](auto&& access) {
    try {
      access();
    } catch (const Error&) {
    }
  };
  attempt([&] { fields.integer(key); });
  attempt([&] { fields.number(key); });
  attempt([&] { fields.boolean(key); });
  attempt([&] { fields.string(key); });
  attempt([&] { fields.integers(key); });
  attempt([&] { fields.numbers(key); });
  attempt([&] { fields.strings(key); });
}

void read(Bytes file) {
  GgufHeader header = parse_gguf(file, "m.gguf");
  GgufMetadata copy;
  for (const GgufFields::Field& field : header.fields.all()) {
    read(header.fields, field.key);
    copy.set(std::string(field.key), field.value);
  }
  std::string_view all = text_of(file);
  if (all.substr(24, copy.bytes().size()) != copy.bytes()) std::abort();
  for (const GgufTensor& tensor : header.tensors) {
    if (tensor.offset < 24 || tensor.bytes < 1 || tensor.offset + tensor.bytes > int64_t(file.size())) std::abort();
    for (const GgufTensor& other : header.tensors)
      if (&other != &tensor && header.tensors.size() < 64 && other.offset < tensor.offset + tensor.bytes &&
          tensor.offset < other.offset + other.bytes)
        std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  try {
    read(Bytes(reinterpret_cast<const std::byte*>(bytes), size));
  } catch (const Error&) {
  }
  return 0;
}
