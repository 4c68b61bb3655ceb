// Each step of a tokenizer.json beside Hugging Face's, on every code point and on random bytes.
#include <gtest/gtest.h>

#include "lathe/base/text_input.h"
#include "lathe/base/utf8.h"
#include "lathe/tokenize/pipeline_json.h"
#include "tests/support/checkout.h"
#include "tests/support/program.h"
#include "tests/tokenize/peer_support.h"
#include "tests/tokenize/tokenize_support.h"

namespace lathe {
namespace {

/// Normalizer and pre-tokenizer as JSON.
struct Steps {
  std::string normalizer, pre_tokenizer;
};

std::vector<std::string> our_words(const Steps& steps, const std::vector<std::string>& texts) {
  simdjson::dom::parser parser;
  const std::string json = "{\"normalizer\":" + steps.normalizer + ",\"pre_tokenizer\":" + steps.pre_tokenizer + "}";
  tokenize::Pipeline pipeline = tokenize::read_pipeline(tokenize::parse_json(parser, json, "steps"));
  if (pipeline.bytes && !pipeline.spelt) pipeline.steps.push_back({tokenize::spelt_in_bytes(), nullptr, false});
  tokenize::TextEncoder encoder;
  encoder.normalizer = std::move(pipeline.normalizer);
  encoder.steps = std::move(pipeline.steps);
  std::vector<std::string> all;
  for (const std::string& text : texts) {
    std::string& words = all.emplace_back();
    encoder.each_word(text, [&](std::string_view word) { words.append(word) += '\x1F'; });
  }
  return all;
}

/// Every code point between letters, a few hundred in a text; then random bytes made UTF-8.
std::vector<std::string> all_texts() {
  std::vector<std::string> texts(1);
  for (char32_t code = 1; code < 0x110000; ++code) {
    if ((code >= 0xD800 && code < 0xE000) || code == 0x1F) continue;
    if (code % 512 == 0) texts.emplace_back();
    texts.back() += "xY";
    append_utf8(texts.back(), code);
  }
  for (uint64_t seed = 0; seed < 5000; ++seed) {
    std::string text = lossy_utf8(test::random_bytes(seed, seed % 61));
    for (char& c : text) c = c == '\x1F' ? ' ' : c;
    texts.push_back(text);
  }
  return texts;
}

std::string type(const std::string& name, const std::string& more = "") {
  return "{\"type\":\"" + name + "\"" + (more.empty() ? "" : "," + more) + "}";
}

std::string normalizers(const std::vector<std::string>& steps) {
  std::string all;
  for (const std::string& step : steps) all += (all.empty() ? "" : ",") + step;
  return "{\"type\":\"Sequence\",\"normalizers\":[" + all + "]}";
}

class PeerPipeline : public testing::Test {
 protected:
  void SetUp() override {
    if (!peers_are_ready()) GTEST_SKIP() << no_peers();
  }
  void expect_equal(const std::vector<Steps>& all) {
    const std::vector<std::string> texts = all_texts();
    for (const Steps& steps : all) {
      const std::vector<std::string> ours = our_words(steps, texts);
      const std::vector<std::string> theirs = test::peer_words(steps.normalizer, steps.pre_tokenizer, texts);
      ASSERT_EQ(ours.size(), theirs.size());
      for (size_t i = 0; i < texts.size(); ++i) {
        if (ours[i] == theirs[i]) continue;
        size_t at = 0;
        while (ours[i][at] == theirs[i][at]) ++at;
        at = at < 12 ? 0 : at - 12;
        FAIL() << steps.normalizer << steps.pre_tokenizer << " text " << i << ": '" << ours[i].substr(at, 40)
               << "' and there '" << theirs[i].substr(at, 40) << "'";
      }
    }
  }
};

TEST_F(PeerPipeline, HasTheSameNormalizers) {
  const std::string bert = R"("clean_text":true,"handle_chinese_chars":true,)";
  expect_equal({{type("NFC"), "null"},
                {type("NFD"), "null"},
                {type("NFKC"), "null"},
                {type("NFKD"), "null"},
                {type("Lowercase"), "null"},
                {type("StripAccents"), "null"},
                {type("Nmt"), "null"},
                {type("ByteLevel"), "null"},
                {type("Strip", R"("strip_left":true,"strip_right":true)"), "null"},
                {type("Prepend", R"("prepend":"▁")"), "null"},
                {type("Replace", R"("pattern":{"String":"x"},"content":"zz")"), "null"},
                {type("Replace", R"("pattern":{"Regex":" {2,}"},"content":" ")"), "null"},
                {normalizers({type("NFD"), type("StripAccents"), type("Lowercase")}), "null"},
                {type("BertNormalizer", bert + R"("strip_accents":null,"lowercase":true)"), "null"},
                {type("BertNormalizer", bert + R"("strip_accents":null,"lowercase":false)"), "null"},
                {type("BertNormalizer", bert + R"("strip_accents":true,"lowercase":false)"), "null"}});
}

TEST_F(PeerPipeline, HasTheSamePreTokenizers) {
  const std::string gpt2 = type("ByteLevel", R"("add_prefix_space":true,"trim_offsets":true,"use_regex":true)");
  const auto split = [](const char* pattern, const char* behavior, const char* invert) {
    return type("Split",
                std::string("\"pattern\":") + pattern + ",\"behavior\":\"" + behavior + "\",\"invert\":" + invert);
  };
  std::vector<Steps> all = {{"null", type("BertPreTokenizer")},
                            {"null", type("Whitespace")},
                            {"null", type("UnicodeScripts")},
                            {"null", type("WhitespaceSplit")},
                            {"null", gpt2},
                            {"null", type("CharDelimiterSplit", R"("delimiter":"x")")},
                            {"null", type("Digits", R"("individual_digits":true)")},
                            {"null", type("Digits", R"("individual_digits":false)")},
                            {"null", type("FixedLength", R"("length":5)")},
                            {"null", type("Metaspace", R"("replacement":"▁","prepend_scheme":"always","split":true)")},
                            {"null", type("Metaspace", R"("replacement":"▁","prepend_scheme":"first","split":true)")},
                            {"null", type("Metaspace", R"("replacement":"▁","prepend_scheme":"never","split":false)")}};
  for (const char* behavior : {"Isolated", "Removed", "MergedWithPrevious", "MergedWithNext", "Contiguous"}) {
    all.push_back({"null", type("Punctuation", std::string("\"behavior\":\"") + behavior + "\"")});
    for (const char* invert : {"false", "true"}) {
      all.push_back({"null", split(R"({"String":"xY"})", behavior, invert)});
      bool nothing_left = std::string(behavior) == "Removed" && std::string(invert) == "true";
      if (!nothing_left) all.push_back({"null", split(R"({"String":""})", behavior, invert)});
      all.push_back({"null", split(R"({"Regex":"[aeiou]+| "})", behavior, invert)});
    }
  }
  const std::string words = type("WhitespaceSplit"), digits = type("Digits", R"("individual_digits":false)");
  const auto sequence = [](const std::string& steps) {
    return R"({"type":"Sequence","pretokenizers":[)" + steps + "]}";
  };
  all.push_back({"null", sequence(words + ',' + type("Metaspace", R"("replacement":"▁","prepend_scheme":"always")"))});
  all.push_back({"null", sequence(type("Punctuation", R"("behavior":"Contiguous")") + ',' + gpt2 + ',' + digits)});
  expect_equal(all);
}

TEST_F(PeerPipeline, HasTheSameCharacterMap) {
  const std::string path = shared_data("tokenizers/hf_json/t5-small.tokenizer.json");
  if (path.empty()) GTEST_SKIP() << no_shared_data("tokenizers/hf_json");
  const std::string json = read_text(path);
  const size_t at = json.find("\"precompiled_charsmap\""), first = json.find('"', at + 22),
               end = json.find('"', first + 1);
  expect_equal({{type("Precompiled", "\"precompiled_charsmap\":" + json.substr(first, end + 1 - first)), "null"}});
}

}  // namespace
}  // namespace lathe
