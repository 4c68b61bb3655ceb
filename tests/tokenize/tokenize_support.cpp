#include "tests/tokenize/tokenize_support.h"

#include <random>

#include "lathe/base/error.h"
#include "lathe/base/json.h"
#include "lathe/tokenize/byte_alphabet.h"
#include "lathe/tokenize/json_text.h"

namespace lathe::test {

Tokenizer trained_on(const std::vector<std::string_view>& texts, TokenizerTraining training) {
  TokenizerTrainer trainer(std::move(training));
  trainer.add(texts);
  return trainer.train();
}

std::string byte_level_json(const std::string& added, const std::string& more) {
  std::string vocabulary;
  for (int byte = 0; byte < 256; ++byte) {
    const char value = static_cast<char>(byte);
    vocabulary += text(tokenize::json_quoted(tokenize::spell_bytes({&value, 1})), ':', byte, ',');
  }
  return text(R"({"added_tokens":[)", added, "],", more,
              R"("pre_tokenizer":{"type":"ByteLevel","add_prefix_space":false},"decoder":{"type":"ByteLevel"},)",
              R"("model":{"type":"BPE","vocab":{)", vocabulary,
              R"("th":256,"the":257,"Ġthe":258,"ca":259,"cat":260,"Ġcat":261},)",
              R"("merges":["t h","th e","Ġ the","c a","ca t","Ġ cat"]}})");
}

std::string pieces(const Tokenizer& tokenizer, const std::vector<TokenId>& ids) {
  std::string joined;
  for (size_t i = 0; i < ids.size(); ++i) joined.append(i ? "|" : "").append(tokenizer.token(ids[i]));
  return joined;
}

std::string random_bytes(uint64_t seed, size_t count) {
  std::mt19937_64 random(seed);
  std::string bytes(count, '\0');
  for (char& byte : bytes) {
    const uint64_t draw = random();
    byte = draw & 1 ? " etaoinshr'\n\t09.the"[draw / 2 % 19] : static_cast<char>(draw >> 32);
  }
  return bytes;
}

}  // namespace lathe::test
