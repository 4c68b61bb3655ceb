// Any bytes as a SentencePiece model, tiktoken ranks, a vocab.txt or a GGUF file, by the first byte (0 to 3): an Error,
// or a tokenizer that encodes what stands behind "TEXT", and whose tokenizer.json says the same.
#include <cstddef>
#include <cstdint>

#include "lathe/base/error.h"
#include "tests/fuzz/tokenizer_use.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  using lathe::TokenizerFormat;
  constexpr TokenizerFormat kFormats[] = {TokenizerFormat::sentencepiece, TokenizerFormat::tiktoken,
                                          TokenizerFormat::word_pieces, TokenizerFormat::gguf};
  if (size == 0) return 0;
  const std::string_view all(reinterpret_cast<const char*>(bytes) + 1, size - 1);
  const size_t mark = all.find("TEXT");
  const std::string_view text = mark == all.npos ? all : all.substr(mark + 4);
  try {
    const auto tokenizer = lathe::Tokenizer::parse(all.substr(0, mark), "file", kFormats[bytes[0] % 4]);
    lathe::use_tokenizer(tokenizer, text);
    if (lathe::Tokenizer::parse(tokenizer.json(), "again").hash() != tokenizer.hash()) std::abort();
  } catch (const lathe::Error&) {
  }
  return 0;
}
