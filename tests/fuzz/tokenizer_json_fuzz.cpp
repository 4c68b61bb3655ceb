// Any text as a tokenizer.json: an Error, or a tokenizer that encodes and decodes what it is given. The text to encode
// stands behind the first zero byte; where there is none, the file itself is the text.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "lathe/base/error.h"
#include "lathe/tokenize/tokenizer.h"

namespace {

void use(const lathe::Tokenizer& tokenizer, std::string_view text) {
  std::vector<lathe::TokenId> ids = tokenizer.encode_with_template(text);
  tokenizer.decode_text(ids);
  ids = tokenizer.encode(text);
  std::string decoded = tokenizer.decode(ids);
  if (tokenizer.lossless() && tokenizer.added_tokens().empty() && decoded != text) std::abort();
  ids.clear();
  tokenizer.encode_ordinary(text, ids);
  if (tokenizer.lossless() && tokenizer.decode(ids) != text) std::abort();
  if (lathe::Tokenizer::parse(tokenizer.json(), "again").hash() != tokenizer.hash()) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  const std::string_view all(reinterpret_cast<const char*>(bytes), size);
  const size_t zero = all.find('\0');
  const std::string_view json = all.substr(0, zero), text = zero == all.npos ? all : all.substr(zero + 1);
  try {
    use(lathe::Tokenizer::parse(json, "tokenizer.json"), text);
  } catch (const lathe::Error&) {
  }
  return 0;
}
