// The models that turn words into ids, on vocabularies small enough to check by hand or by trying everything.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "lathe/base/error.h"
#include "lathe/tokenize/train_unigram.h"
#include "lathe/tokenize/unigram.h"
#include "tests/support/error_of.h"
#include "tests/tokenize/tokenize_support.h"

namespace lathe {
namespace {

using test::pieces;
using testing::HasSubstr;

Tokenizer parsed(const std::string& json) { return Tokenizer::parse(json, "tokenizer.json"); }

std::string word_piece_json(const std::string& more = "") {
  return R"({"added_tokens":[{"id":0,"content":"[UNK]","special":true},{"id":1,"content":"[CLS]","special":true},)"
         R"({"id":2,"content":"[SEP]","special":true}],)" +
         more +
         R"("normalizer":{"type":"BertNormalizer","lowercase":true},"pre_tokenizer":{"type":"BertPreTokenizer"},)"
         R"("post_processor":{"type":"BertProcessing","cls":["[CLS]",1],"sep":["[SEP]",2]},)"
         R"("decoder":{"type":"WordPiece","prefix":"##","cleanup":true},"model":{"type":"WordPiece",)"
         R"("unk_token":"[UNK]","max_input_chars_per_word":10,"vocab":{"[UNK]":0,"[CLS]":1,"[SEP]":2,"un":3,"##aff":4,)"
         R"("##able":5,"##a":6,"able":7,"!":8,"unaff":9,"caf":10,"##e":11}}})";
}

TEST(WordPiece, TakesTheLongestPieceEachTime) {
  const Tokenizer tokenizer = parsed(word_piece_json());
  EXPECT_EQ(pieces(tokenizer, "Unaffable able! Café"), "unaff|##able|able|!|caf|##e");
  EXPECT_EQ(tokenizer.decode(tokenizer.encode("Unaffable able!")), "unaffable able!");
}

TEST(WordPiece, GivesUpOnWordsItCannotSpellOrThatAreTooLong) {
  const Tokenizer tokenizer = parsed(word_piece_json());
  EXPECT_EQ(pieces(tokenizer, "able xable ableaaaaaaaa"), "able|[UNK]|[UNK]");
}

TEST(WordPiece, NeverTakesTextForASpecialTokenThatWasNotAskedFor) {
  std::vector<TokenId> ids;
  const Tokenizer tokenizer = parsed(word_piece_json());
  tokenizer.encode_ordinary("[CLS]", ids);
  EXPECT_EQ(pieces(tokenizer, ids), "[UNK]|[UNK]|[UNK]");
  EXPECT_EQ(pieces(tokenizer, "[CLS]"), "[CLS]");
}

TEST(Pairs, HaveTypesAndTheBytesThatTokensComeFrom) {
  const Tokenizer tokenizer = parsed(word_piece_json());
  const Encoding pair = tokenizer.encode_pair("Café able", "  unaffable");
  EXPECT_EQ(pieces(tokenizer, pair.ids), "[CLS]|caf|##e|able|[SEP]|unaff|##able|[SEP]");
  EXPECT_EQ(pair.type_ids, (std::vector<uint32_t>{0, 0, 0, 0, 0, 1, 1, 1}));
  EXPECT_EQ(pair.special, (std::vector<uint8_t>{1, 0, 0, 0, 1, 0, 0, 1}));
  EXPECT_EQ(pair.spans[2], (TextSpan{0, 3, 5}));  // é has two bytes
  EXPECT_EQ(pair.spans[5], (TextSpan{1, 2, 7}));
  EXPECT_EQ(pair.spans[7], TextSpan{});
}

TEST(Pairs, LoseTokensOfTheLongerTextFirst) {
  const Tokenizer tokenizer = parsed(word_piece_json());
  const auto kept = [&](Truncation truncation) {
    return pieces(tokenizer, tokenizer.encode_pair("able", "un able ! un", truncation).ids);
  };
  EXPECT_EQ(kept({.max_length = 6}), "[CLS]|able|[SEP]|un|able|[SEP]");
  EXPECT_EQ(kept({.max_length = 6, .direction = Side::left}), "[CLS]|able|[SEP]|!|un|[SEP]");
  EXPECT_EQ(kept({.max_length = 7, .strategy = TruncationStrategy::only_second}), "[CLS]|able|[SEP]|un|able|!|[SEP]");
  EXPECT_THAT(error_of([&] { kept({.max_length = 2}); }), HasSubstr("the template alone has 3"));
  EXPECT_THAT(error_of([&] { kept({.max_length = 5, .strategy = TruncationStrategy::only_first}); }),
              HasSubstr("too short to lose"));
}

TEST(Pairs, AreShortenedAndPaddedAsTheFileSays) {
  const Tokenizer tokenizer = parsed(word_piece_json(
      R"("truncation":{"direction":"Right","max_length":4,"strategy":"LongestFirst","stride":0},)"
      R"("padding":{"strategy":"BatchLongest","direction":"Left","pad_to_multiple_of":4,"pad_id":8,"pad_type_id":1},)"));
  std::vector<Encoding> batch = {tokenizer.encode_single("un able un able"), tokenizer.encode_single("un")};
  pad(batch, *tokenizer.padding());
  EXPECT_EQ(pieces(tokenizer, batch[0].ids), "[CLS]|un|able|[SEP]");
  EXPECT_EQ(pieces(tokenizer, batch[1].ids), "!|[CLS]|un|[SEP]");
  EXPECT_EQ(batch[1].attention, (std::vector<uint8_t>{0, 1, 1, 1}));
}

/// All ways to cut `word` into pieces of `scores`; the best score.
double best_score(const tokenize::Vocabulary& vocabulary, const std::vector<double>& scores, std::string_view word) {
  if (word.empty()) return 0;
  double best = -INFINITY;
  for (size_t bytes = 1; bytes <= word.size(); ++bytes) {
    const auto id = vocabulary.id(word.substr(0, bytes));
    if (id) best = std::max(best, scores[*id] + best_score(vocabulary, scores, word.substr(bytes)));
  }
  return best;
}

TEST(Unigram, FindsTheMostProbablePieces) {
  std::mt19937 random(1);
  tokenize::Vocabulary vocabulary;
  std::vector<double> scores;
  for (const char* piece : {"a", "b", "c", "ab", "bc", "abc", "ca", "bca", "aa"}) {
    vocabulary.add(piece, scores.size());
    scores.push_back(-1 - static_cast<double>(random() % 1000) / 100);
  }
  const tokenize::Unigram model(vocabulary, scores, {});
  for (int round = 0; round < 200; ++round) {
    std::string word;
    for (uint32_t n = random() % 12; word.size() < n;) word += "abc"[random() % 3];
    std::vector<TokenId> ids;
    model.encode_word(word, ids);
    double score = 0;
    std::string joined;
    for (const TokenId id : ids) score += scores[id], joined += vocabulary.spelling(id);
    EXPECT_EQ(joined, word);
    EXPECT_NEAR(score, best_score(vocabulary, scores, word), 1e-9) << word;
  }
}

std::string unigram_json(const std::string& more) {
  return R"({"pre_tokenizer":{"type":"Metaspace","replacement":"▁","prepend_scheme":"first"},)"
         R"("decoder":{"type":"Sequence","decoders":[{"type":"ByteFallback"},{"type":"Metaspace","replacement":"▁"}]},)"
         R"("model":{"type":"Unigram","unk_id":0,"vocab":[["<unk>",0],["▁a",-1],["b",-2],["▁",-3],["ab",-2.5])" +
         more + "}}";
}

TEST(Unigram, FusesNeighbouringUnknownCharacters) {
  const Tokenizer tokenizer = parsed(unigram_json("]"));
  EXPECT_EQ(pieces(tokenizer, "ab xyzb"), "▁a|b|▁|<unk>|b");
}

TEST(Unigram, FallsBackToBytesWhereTheFileHasThem) {
  std::string bytes;
  for (int byte = 0; byte < 256; ++byte) {
    char spelling[8];
    std::snprintf(spelling, sizeof(spelling), "<0x%02X>", byte);
    bytes += std::string(",[\"") + spelling + "\",-20]";
  }
  const Tokenizer tokenizer = parsed(unigram_json(bytes + R"(],"byte_fallback":true)"));
  EXPECT_EQ(pieces(tokenizer, "abé"), "▁a|b|<0xC3>|<0xA9>");
  EXPECT_EQ(tokenizer.decode_text(tokenizer.encode("abé ab")), "abé ab");
}

TEST(Unigram, IsLearntFromWordsSoThatFrequentOnesAreShort) {
  const std::vector<std::pair<std::string, int64_t>> words = {
      {"▁low", 50}, {"▁lower", 20}, {"▁lowest", 20}, {"▁new", 30}};
  const auto learnt = tokenize::learn_pieces(words, {.pieces = 14, .threads = 2});
  EXPECT_LE(learnt.size(), 14u);
  EXPECT_EQ(learnt, tokenize::learn_pieces(words, {.pieces = 14, .threads = 1}));
  double sum = 0;
  for (const auto& [piece, score] : learnt) sum += std::exp(score);
  EXPECT_LE(sum, 1.0001);
  EXPECT_TRUE(std::any_of(learnt.begin(), learnt.end(), [](const auto& one) { return one.first == "▁low"; }));
  EXPECT_THAT(error_of([&] { tokenize::learn_pieces(words, {.pieces = 3}); }), HasSubstr("9 characters do not fit"));
}

TEST(WordPiece, IsLearntWithBertsCleaningAndTemplate) {
  const Tokenizer tokenizer = test::trained_on({"The lower, the LOWEST: thé low low lowest"},
                                               {.kind = TokenizerKind::wordpiece,
                                                .vocabulary_size = 40,
                                                .special_tokens = usual_special_tokens(TokenizerKind::wordpiece)});
  EXPECT_EQ(pieces(tokenizer, tokenizer.encode_with_template("The")), "[CLS]|the|[SEP]");
  EXPECT_EQ(tokenizer.decode_text(tokenizer.encode("LOWEST, low")), "lowest, low");
}

TEST(Bpe, MarksTheInsideOfWordsWhenTheFileSaysSo) {
  const Tokenizer tokenizer = parsed(
      R"({"pre_tokenizer":{"type":"WhitespaceSplit"},"model":{"type":"BPE","unk_token":"?","continuing_subword_prefix":"##",)"
      R"("vocab":{"?":0,"a":1,"##b":2,"ab":3,"##c":4,"##bc":5,"b":6},"merges":["a ##b","##b ##c"]}})");
  EXPECT_EQ(pieces(tokenizer, "ab bc abx"), "ab|b|##c|ab|?");
}

TEST(Bpe, MarksTheEndOfWordsInBytesAsClipDoes) {
  const Tokenizer tokenizer = parsed(
      R"({"normalizer":{"type":"Lowercase"},"pre_tokenizer":{"type":"Sequence","pretokenizers":[{"type":"Split",)"
      R"("pattern":{"Regex":"\\p{L}+"},"behavior":"Removed","invert":true},)"
      R"({"type":"ByteLevel","add_prefix_space":false,"use_regex":true}]},"model":{"type":"BPE","unk_token":"?",)"
      R"("end_of_word_suffix":"</w>","vocab":{"?":0,"a":1,"b":2,"a</w>":3,"b</w>":4,"ab</w>":5,"Ã":6,"©</w>":7},)"
      R"("merges":["a b</w>"]}})");
  EXPECT_EQ(pieces(tokenizer, "AB, ba x é"), "ab</w>|b|a</w>|?|Ã|©</w>");
}

TEST(UnicodeScripts, KeepsRunsOfOneScriptAndSpacesBehindThem) {
  const Tokenizer tokenizer =
      parsed(R"({"pre_tokenizer":{"type":"UnicodeScripts"},"model":{"type":"WordLevel","unk_token":"?",)"
             R"("vocab":{"?":0,"ab  cd ":1,"я":2,"漢かーカ":3,"1.":4}}})");
  EXPECT_EQ(pieces(tokenizer, "  ab  cd я漢かーカ1."), "ab  cd |я|漢かーカ|1.");
}

}  // namespace
}  // namespace lathe
