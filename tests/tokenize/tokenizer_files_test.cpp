// Vocabularies in files of other programs that are wrong, and what becomes of them that are right.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lathe/base/gguf_writer.h"
#include "lathe/base/text_input.h"
#include "lathe/tokenize/tokenizer.h"
#include "tests/support/checkout.h"
#include "tests/support/error_of.h"
#include "tests/support/temporary_directory.h"
#include "tests/tokenize/tokenize_support.h"

namespace lathe {
namespace {

using test::pieces;
using testing::HasSubstr;

/// A seed of the fuzzer: what stands before "TEXT", less the first byte, is a file.
std::string seed(const std::string& name) {
  const std::string all = read_text((checkout() / "tests/fuzz/seeds/tokenizer_files" / name).string());
  return all.substr(1, all.find("TEXT") - 1);
}

Tokenizer parsed(const std::string& content, TokenizerFormat format) {
  return Tokenizer::parse(content, "file", format);
}

std::string problem(const std::string& content, TokenizerFormat format) {
  return error_of([&] { parsed(content, format); });
}

std::string changed(std::string content, const std::string& from, const std::string& to) {
  const size_t at = content.find(from);
  return at == std::string::npos ? "" : content.replace(at, from.size(), to);
}

TEST(SentencePieceFile, GivesUnigramPieces) {
  const Tokenizer tokenizer = parsed(seed("unigram"), TokenizerFormat::sentencepiece);
  EXPECT_EQ(tokenizer.kind(), "Unigram with byte fallback");
  EXPECT_EQ(pieces(tokenizer, "ab  a <x>"), "▁ab|▁a|<x>");
  EXPECT_EQ(tokenizer.begin_token(), 1u);
}

TEST(SentencePieceFile, GivesBpeWhoseMergesFollowScores) {
  const Tokenizer tokenizer = parsed(seed("bpe"), TokenizerFormat::sentencepiece);
  EXPECT_EQ(tokenizer.kind(), "BPE with byte fallback");
  EXPECT_EQ(pieces(tokenizer, "ab ba"), "▁ab|▁|b|a");
  EXPECT_EQ(tokenizer.decode_text(tokenizer.encode("ab ba")), "ab ba");
}

TEST(SentencePieceFile, SurvivesAsTokenizerJson) {
  for (const char* name : {"unigram", "bpe"}) {
    const Tokenizer tokenizer = parsed(seed(name), TokenizerFormat::sentencepiece);
    const Tokenizer again = Tokenizer::parse(tokenizer.json(), "tokenizer.json");
    EXPECT_EQ(again.hash(), tokenizer.hash());
    EXPECT_EQ(again.encode("ab <x> a\u00e9"), tokenizer.encode("ab <x> a\u00e9"));
  }
}

TEST(SentencePieceFile, IsRefusedByNameWhenItIsDamaged) {
  const auto wrong = [](const std::string& content) { return problem(content, TokenizerFormat::sentencepiece); };
  const std::string good = seed("bpe");
  EXPECT_THAT(wrong(""), HasSubstr("file has no pieces"));
  EXPECT_THAT(wrong(good.substr(0, good.size() - 3)), HasSubstr("file is damaged: a field of"));
  EXPECT_THAT(wrong("\x0f"), HasSubstr("wire type 7"));
  EXPECT_THAT(wrong("\xff\xff"), HasSubstr("a number does not end"));
  EXPECT_THAT(wrong(changed(good, "\x18\x02\x98", "\x18\x04\x98")), HasSubstr("models of type 4"));
  EXPECT_THAT(wrong(changed(good, "<s>", "<\xFF>")), HasSubstr("token 1 is not UTF-8"));
  EXPECT_THAT(wrong(changed(good, "<s>", "<x>")), HasSubstr("'<x>' is there twice"));
}

TEST(TiktokenFile, IsRefusedByNameWhenItIsWrong) {
  const auto wrong = [](const std::string& content) { return problem(content, TokenizerFormat::tiktoken); };
  EXPECT_THAT(wrong(""), HasSubstr("file holds no ranks"));
  EXPECT_THAT(wrong("YQ== 0\nYg=="), HasSubstr("line 2 is not a token in base64 and its rank"));
  EXPECT_THAT(wrong("YQ== 0\n!! 1"), HasSubstr("line 2"));
  EXPECT_THAT(wrong("YQ== 0\nYg== 0"), HasSubstr("have the same id 0"));
  EXPECT_THAT(wrong("YQ== 0\nYg== 1"), HasSubstr("ranks up to 1 are those of no known encoding"));
}

TEST(VocabTxt, NeedsTheTokensOfBert) {
  EXPECT_EQ(pieces(parsed(seed("vocab_txt"), TokenizerFormat::word_pieces), "Unable!"), "un|##able|!");
  EXPECT_THAT(problem("a\nb\n", TokenizerFormat::word_pieces), HasSubstr("a line [UNK] is missing"));
  EXPECT_THAT(problem("\xff", TokenizerFormat::word_pieces), HasSubstr("not UTF-8"));
}

TEST(GgufVocabulary, IsReadForEachKind) {
  const auto of = [](const char* name) { return parsed(seed(name), TokenizerFormat::gguf); };
  EXPECT_EQ(pieces(of("gguf_llama"), of("gguf_llama").encode_with_template("ab a")), "<s>|▁ab|▁a");
  EXPECT_EQ(pieces(of("gguf_gpt2"), "ab ab<|e|>"), "ab|Ġab|<|e|>");
  EXPECT_EQ(pieces(of("gguf_bert"), of("gguf_bert").encode_with_template("Unable!")), "[CLS]|un|##able|!|[SEP]");
  EXPECT_EQ(pieces(of("gguf_t5"), " a  b"), "▁a|<unk>|b");
}

TEST(GgufVocabulary, NamesItsSpecialTokensInWhatItIsSavedAs) {  // transformers guesses none of them
  const TemporaryDirectory folder;
  parsed(seed("gguf_bert"), TokenizerFormat::gguf).save(folder.path("saved"));
  const std::string config = read_text(folder.path("saved/tokenizer_config.json"));
  for (const char* name : {R"("cls_token": "[CLS]")", R"("sep_token": "[SEP]")"}) EXPECT_THAT(config, HasSubstr(name));
}

/// A vocabulary of one kind of GGUF file, "llama", with tokens that tests choose.
std::string gguf_of(const std::vector<std::string>& tokens, const std::vector<std::pair<const char*, int64_t>>& ids) {
  GgufMetadata metadata;
  metadata.set_string("tokenizer.ggml.model", "llama");
  metadata.set_strings("tokenizer.ggml.tokens", tokens);
  for (auto [name, id] : ids) metadata.set_u32(std::string("tokenizer.ggml.") + name, id);
  const TemporaryDirectory folder;
  write_gguf(folder.path("v.gguf"), metadata, {});
  return read_text(folder.path("v.gguf"));
}

TEST(GgufVocabulary, TakesOnlyTwoDigitsForAByte) {  // llama.cpp #25969, #26511: <0x-1> wrote before a table
  const std::vector<std::string> odd = {"<unk>", "<0x-1>", "<0x+1>", "<0x 1>", "<0xGG>", "<0x1>", "<0x001>", "<0xff>"};
  const Tokenizer tokenizer = parsed(gguf_of(odd, {{"unknown_token_id", 0}}), TokenizerFormat::gguf);
  for (size_t id = 1; id < odd.size(); ++id) {
    const auto token = TokenId(id);
    EXPECT_EQ(tokenizer.decode(std::span(&token, 1)), odd[id]);
  }
}

TEST(GgufVocabulary, IsRefusedWhereItIsSmallerThanItsSpecialTokens) {  // llama.cpp #26318
  for (const char* name : {"bos_token_id", "eos_token_id", "unknown_token_id", "padding_token_id", "mask_token_id"})
    for (int64_t id : {int64_t{2}, int64_t{INT32_MAX}, int64_t{UINT32_MAX} - 1})
      EXPECT_THAT(problem(gguf_of({"a", "b"}, {{name, id}}), TokenizerFormat::gguf),
                  HasSubstr(text("tokenizer.ggml.", name, " is ", id, ", beyond the vocabulary of 2")));
}

TEST(GgufVocabulary, IsRefusedForTokensThatNobodyMerges) {  // CVE-2025-49847: a length turned negative
  const auto file = [](size_t bytes) { return gguf_of({"<unk>", std::string(bytes, 'a')}, {{"unknown_token_id", 0}}); };
  EXPECT_EQ(parsed(file(512), TokenizerFormat::gguf).token(1), std::string(512, 'a'));
  for (size_t bytes : {size_t{513}, size_t{1} << 20})
    EXPECT_THAT(problem(file(bytes), TokenizerFormat::gguf),
                HasSubstr(text("token 1 has ", bytes, " bytes; those that scores put together have at most 512")));
}

TEST(GgufVocabulary, IsRefusedByNameWhenItIsWrong) {
  const auto wrong = [](const char* name, const std::string& from, const std::string& to) {
    return problem(changed(seed(name), from, to), TokenizerFormat::gguf);
  };
  EXPECT_THAT(wrong("gguf_gpt2", "falcon", "falcom"), HasSubstr("tokenizer.ggml.pre 'falcom' is not supported"));
  EXPECT_THAT(wrong("gguf_llama", "llama", "lloma"), HasSubstr("tokenizer.ggml.model 'lloma' is not supported"));
  EXPECT_THAT(wrong("gguf_gpt2", "a b", "a_b"), HasSubstr("tokenizer.ggml.merges 0 'a_b' is not two tokens"));
  EXPECT_THAT(wrong("gguf_bert", "[CLS]", "[CLX]"), HasSubstr("has no [CLS]"));
  EXPECT_THAT(wrong("gguf_llama", "tokenizer.ggml.tokens", "tokenizer.ggml.tokans"),
              HasSubstr("tokenizer.ggml.tokens"));
}

}  // namespace
}  // namespace lathe
