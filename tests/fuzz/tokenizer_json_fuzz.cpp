// Any text as a tokenizer.json: an Error, or a tokenizer that encodes and decodes what it is given. The text to encode
// stands behind the first zero byte; where there is none, the file itself is the text.
#include <cstddef>
#include <cstdint>

#include "lathe/base/error.h"
#include "tests/fuzz/tokenizer_use.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  const std::string_view all(reinterpret_cast<const char*>(bytes), size);
  const size_t zero = all.find('\0');
  const std::string_view json = all.substr(0, zero), text = zero == all.npos ? all : all.substr(zero + 1);
  try {
    const auto tokenizer = lathe::Tokenizer::parse(json, "tokenizer.json");
    lathe::use_tokenizer(tokenizer, text);
    if (lathe::Tokenizer::parse(tokenizer.json(), "again").hash() != tokenizer.hash()) std::abort();
  } catch (const lathe::Error&) {
  }
  return 0;
}
