// Hugging Face's tokenizers and ours read each other's files and give every text the same ids.
#include <gtest/gtest.h>

#include <algorithm>

#include "lathe/base/error.h"
#include "lathe/base/text_input.h"
#include "lathe/base/utf8.h"
#include "tests/support/checkout.h"
#include "tests/support/program.h"
#include "tests/tokenize/peer_support.h"
#include "tests/tokenize/tokenize_support.h"

namespace lathe {
namespace {

using test::peer_encoding;
using test::PeerEncoding;
using test::PeerFiles;
using test::trained_on;

constexpr const char* kByteLevelKinds[] = {"gpt2", "cl100k"};

/// About a megabyte of English, Spanish, JSON and code-like text.
std::string mixed_text() {
  std::string all;
  for (const char* name : {"books/Austen_Emma.txt", "bible_en_es/rv1909.es.txt", "c4_sample/c4_demo.jsonl",
                           "chat_templates/renderings.jsonl"})
    all += read_text(shared_data(name)).substr(0, 300000);
  return lossy_utf8(all);
}

/// Texts that splitting and merging go wrong on.
std::vector<std::string> hard_texts() {
  std::vector<std::string> texts = {"",
                                    " ",
                                    "  ",
                                    "\n",
                                    "\n\n \n",
                                    "\t a",
                                    "a\r\nb",
                                    "a \r\n  b",
                                    "it's IT'S we'Ll 'tis 's",
                                    "3.14159 1234567 ١٢٣٤ Ⅷ ½",
                                    "naïve cafe\u0301 \u212B Å",
                                    "日本語のテキスト。한국어 ภาษาไทย",
                                    "👩‍👩‍👧‍👦🏳️‍🌈 e\u0301\u0302\u0303",
                                    "\u00A0nbsp\u2003em\u200Bzero\uFEFFbom\u3000ideographic",
                                    "<|endoftext|>x<|endoftext|>",
                                    "<|endoftext|",
                                    "\u0085\u2028\u2029x",
                                    std::string(3000, 'a'),
                                    std::string(1000, ' ') + "x",
                                    std::string("nul\0byte", 8),
                                    "ǅ Ⅳ ㎏ ﬁ \U0001D400\U0010FFFF"};
  for (uint64_t seed = 0; seed < 300; ++seed) texts.push_back(lossy_utf8(test::random_bytes(seed, seed)));
  return texts;
}

/// Compares ids and decoded texts; stops at the first that differs.
void expect_equal(const Tokenizer& ours, const PeerEncoding& theirs, const std::vector<std::string>& texts) {
  ASSERT_EQ(theirs.ids.size(), texts.size());
  for (size_t i = 0; i < texts.size(); ++i) {
    ASSERT_EQ(ours.encode(texts[i]), theirs.ids[i]) << ours.kind() << ": '" << texts[i].substr(0, 200) << "'";
    ASSERT_EQ(lossy_utf8(ours.decode(theirs.ids[i])), theirs.decoded[i]) << ours.kind();
  }
}

class PeerTokenizers : public testing::Test {
 protected:
  void SetUp() override {
    if (!peers_are_ready()) GTEST_SKIP() << no_peers();
    if (shared_data("chat_templates").empty()) GTEST_SKIP() << no_shared_data("chat_templates");
  }
  PeerFiles files_;
};

TEST_F(PeerTokenizers, GiveOurFilesTheSameIdsAndTexts) {
  const std::string text = mixed_text();
  std::vector<std::string> texts = hard_texts();
  texts.push_back(text);
  for (const char* name : {"gpt2", "cl100k", "words-bpe", "words", "characters", "wordpiece", "unigram"}) {
    const TokenizerKind kind = tokenizer_kind(name);
    const Tokenizer ours =
        trained_on({text}, {.kind = kind, .vocabulary_size = 4000, .special_tokens = usual_special_tokens(kind)});
    ours.save(files_.path("tokenizer.json"));
    expect_equal(ours, peer_encoding(files_.path("tokenizer.json"), texts), texts);
  }
}

TEST_F(PeerTokenizers, LearnTheSameMergesAsOurs) {
  const std::string text = mixed_text(), path = files_.write("text", text);
  for (const char* kind : kByteLevelKinds)
    for (const int64_t least : {0, 2, 20}) {
      const std::string theirs = files_.path("theirs.json");
      test::peer_trained(kind, path, 6000, least, theirs);
      const Tokenizer ours =
          trained_on({text}, {.kind = tokenizer_kind(kind), .vocabulary_size = 6000, .minimum_frequency = least});
      const Tokenizer loaded = Tokenizer::load(theirs);
      EXPECT_EQ(loaded.vocabulary_size(), ours.vocabulary_size()) << kind << least;
      EXPECT_EQ(loaded.hash(), ours.hash()) << kind << least;  // vocabulary, merges, added tokens
    }
}

TEST_F(PeerTokenizers, WriteFilesThatOursReads) {
  const std::string text = mixed_text(), path = files_.write("text", text), theirs = files_.path("theirs.json");
  std::vector<std::string> texts = hard_texts();
  texts.push_back(text);
  for (const char* kind : kByteLevelKinds) {
    test::peer_trained(kind, path, 3000, 2, theirs);
    expect_equal(Tokenizer::load(theirs), peer_encoding(theirs, texts), texts);
  }
}

constexpr const char* kTrainClip = R"(
import sys
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
words = Regex(r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+")
tokenizer = Tokenizer(models.BPE(end_of_word_suffix="</w>", continuing_subword_prefix="", unk_token="<|endoftext|>"))
tokenizer.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()])
tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(words, behavior="removed", invert=True),
                                                   pre_tokenizers.ByteLevel(add_prefix_space=False)])
tokenizer.decoder = decoders.ByteLevel()
bytes = pre_tokenizers.ByteLevel.alphabet()
tokenizer.train([sys.argv[1]], trainers.BpeTrainer(vocab_size=3000, end_of_word_suffix="</w>", show_progress=False,
    initial_alphabet=bytes, special_tokens=["<|startoftext|>", "<|endoftext|>"] + [byte + "</w>" for byte in sorted(bytes)]))
tokenizer.save(sys.argv[2])
)";

TEST_F(PeerTokenizers, WriteFilesOfClipsKindThatOursReads) {
  const std::string text = mixed_text(), path = files_.write("text", text), theirs = files_.path("clip.json");
  run_peer(kTrainClip, {path, theirs});
  std::string json = read_text(theirs);  // the bytes with a mark are no special tokens in CLIP's file
  const size_t first = json.find("\"added_tokens\""), third = json.find("\"id\": 2,", first);
  ASSERT_NE(third, std::string::npos);
  json.replace(json.rfind(',', json.rfind('{', third)),
               json.find("\n  ],", third) - json.rfind(',', json.rfind('{', third)), "");
  files_.write("clip.json", json);
  std::vector<std::string> texts = hard_texts();
  texts.push_back(text);
  expect_equal(Tokenizer::load(theirs), peer_encoding(theirs, texts), texts);
}

TEST_F(PeerTokenizers, AgreeOnEveryLanguageOfTheDebianHandbook) {
  const std::vector<std::string> texts = test::handbook_texts(100000);
  if (texts.empty()) GTEST_SKIP() << "the Debian package debian-handbook is missing; script/setup --peers installs it";
  ASSERT_GE(texts.size(), 26u);
  const std::vector<std::string_view> views(texts.begin(), texts.end());
  for (const char* kind : kByteLevelKinds) {
    const Tokenizer ours = trained_on(views, {.kind = tokenizer_kind(kind), .vocabulary_size = 16000});
    ours.save(files_.path("tokenizer.json"));
    expect_equal(ours, peer_encoding(files_.path("tokenizer.json"), texts), texts);
  }
}

/// Files of others, of each kind: BERT's WordPiece, Phi-3's SentencePiece BPE with byte fallback, T5's Unigram.
constexpr const char* kRealFiles[] = {"models/bert_tiny_random/tokenizer.json",
                                      "tokenizers/hf_json/phi-3-mini.tokenizer.json",
                                      "tokenizers/hf_json/t5-small.tokenizer.json"};

TEST_F(PeerTokenizers, AgreeOnRealFilesInEveryLanguageOfTheDebianHandbook) {
  std::vector<std::string> texts = test::handbook_texts(100000);
  if (texts.empty()) GTEST_SKIP() << "the Debian package debian-handbook is missing; script/setup --peers installs it";
  for (const std::string& text : hard_texts()) texts.push_back(text);
  for (const char* file : kRealFiles)
    expect_equal(Tokenizer::load(shared_data(file)), peer_encoding(shared_data(file), texts), texts);
}

TEST_F(PeerTokenizers, AgreeOnRealFilesAndAHundredThousandRandomByteStrings) {
  std::vector<std::string> texts;
  for (uint64_t seed = 0; seed < 100000; ++seed) texts.push_back(lossy_utf8(test::random_bytes(seed, seed % 61)));
  for (const char* file : kRealFiles)
    expect_equal(Tokenizer::load(shared_data(file)), peer_encoding(shared_data(file), texts), texts);
}

/// Ours as peer_annotations() writes them: characters, not bytes, are counted.
std::string annotation(const Encoding& encoding, const std::string (&texts)[2]) {
  std::string lines;
  for (size_t i = 0; i < encoding.ids.size(); ++i) {
    const TextSpan& span = encoding.spans[i];
    const auto characters = [&](size_t bytes) {
      const std::string& text = texts[std::max(0, span.text)];
      return std::count_if(text.begin(), text.begin() + static_cast<ptrdiff_t>(bytes),
                           [](char c) { return (c & 0xC0) != 0x80; });
    };
    lines += lathe::text(encoding.ids[i], ' ', encoding.type_ids[i], ' ', int{encoding.special[i]}, ' ',
                         characters(span.begin), ' ', characters(span.end), ' ', span.text, '\n');
  }
  return lines;
}

TEST_F(PeerTokenizers, AgreeOnPairsTheirTypesAndWhereTokensComeFrom) {
  std::vector<std::string> first, second;
  for (int i = 0; i < 40; ++i) {
    const std::string text = read_text(shared_data("books/Austen_Emma.txt"));
    first.push_back(text.substr(static_cast<size_t>(i) * 1000, 60 + static_cast<size_t>(i)));
    second.push_back("  Naïve café, " + text.substr(static_cast<size_t>(i) * 2000, 90) + " 日本 ﬁne™.");
  }
  for (const char* file : kRealFiles) {
    const Tokenizer ours = Tokenizer::load(shared_data(file));
    const std::vector<std::string> theirs = test::peer_annotations(shared_data(file), first, second);
    for (size_t i = 0; i < first.size(); ++i) {
      const std::string texts[2] = {first[i], second[i]};
      ASSERT_EQ(annotation(ours.encode_single(first[i]), texts), theirs[i]) << file << first[i];
      ASSERT_EQ(annotation(ours.encode_pair(first[i], second[i]), texts), theirs[first.size() + i])
          << file << second[i];
    }
  }
}

TEST_F(PeerTokenizers, ReadWhatOursMakesOfOtherFormats) {
  std::vector<std::string> texts = hard_texts();
  texts.push_back(mixed_text());
  for (const char* file :
       {"tokenizers/ggml_vocab/ggml-vocab-phi-3.gguf", "tokenizers/ggml_vocab/ggml-vocab-bert-bge.gguf",
        "tokenizers/ggml_vocab/ggml-vocab-gpt-2.gguf", "tokenizers/tiktoken/cl100k_base.tiktoken",
        "models/bert_tiny_random/vocab.txt"}) {
    const Tokenizer ours = Tokenizer::load(shared_data(file));
    ours.save(files_.path("tokenizer.json"));
    EXPECT_EQ(Tokenizer::load(files_.path("tokenizer.json")).hash(), ours.hash()) << file;
    expect_equal(ours, peer_encoding(files_.path("tokenizer.json"), texts), texts);
  }
}

TEST_F(PeerTokenizers, AgreeOnAHundredThousandRandomByteStrings) {
  std::vector<std::string> raw, valid;
  for (uint64_t seed = 0; seed < 100000; ++seed) {
    raw.push_back(test::random_bytes(seed, seed % 61));
    valid.push_back(lossy_utf8(raw.back()));  // HF takes text only
  }
  const std::string text = mixed_text();
  for (const char* kind : kByteLevelKinds) {
    const Tokenizer ours = trained_on({text}, {.kind = tokenizer_kind(kind), .vocabulary_size = 3000});
    ours.save(files_.path("tokenizer.json"));
    expect_equal(ours, peer_encoding(files_.path("tokenizer.json"), valid), valid);
    for (const std::string& bytes : raw) ASSERT_EQ(ours.decode(ours.encode(bytes)), bytes);
  }
}

}  // namespace
}  // namespace lathe
