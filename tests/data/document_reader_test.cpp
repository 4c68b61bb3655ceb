#include "lathe/data/document_reader.h"

#include <gtest/gtest.h>

#include "tests/data/data_support.h"
#include "tests/support/error_of.h"

namespace lathe::data {
namespace {

/// Bytes written as hexadecimal digits.
std::string bytes(std::string_view digits) {
  std::string out;
  for (size_t i = 0; i + 1 < digits.size(); i += 2)
    out.push_back(static_cast<char>(std::stoi(std::string(digits.substr(i, 2)), nullptr, 16)));
  return out;
}

// "text\nhello\n" by gzip; {"text": "x"} and {"text": "y"}, a line each, by zstd.
const std::string kGzip = bytes("1f8b08000000000002032b49ad28e1ca48cdc9c9e70200c36f5b520b000000");
const std::string kZstd = bytes("28b52ffd0458c50000907b2274657874223a202278227d0a79227d0a0100b14d2569aebb2c");

class DocumentReaderTest : public testing::Test {
 protected:
  /// All documents that are kept, pieces joined.
  std::vector<std::string> documents(const std::string& path, const ReadOptions& options = {}) {
    const auto reader = open_documents(path, options);
    std::vector<std::string> all(1);
    TextPiece piece;
    pieces_ = 0;
    while (reader->next(piece)) {
      ++pieces_;
      all.back() += piece.text;
      if (!piece.ends_document) continue;
      if (!piece.keep) all.pop_back();
      all.emplace_back();
    }
    all.pop_back();
    left_out_ = reader->left_out();
    return all;
  }

  Scratch scratch_;
  LeftOut left_out_;
  int pieces_ = 0;
};

using Texts = std::vector<std::string>;

TEST_F(DocumentReaderTest, ReadsAPlainFileAsOneDocument) {
  EXPECT_EQ(documents(scratch_.file("a.txt", "one\n\ntwo\n")), Texts{"one\n\ntwo\n"});
}

TEST_F(DocumentReaderTest, CutsAPlainFileAtItsSeparator) {
  const std::string path = scratch_.file("a.txt", "one\n===\ntwo\n===\n\n===\nthree");
  EXPECT_EQ(documents(path, {.document_separator = "\n===\n"}), (Texts{"one", "two", "three"}));
  EXPECT_EQ(documents(scratch_.file("b.txt", "======a==="), {.document_separator = "==="}), Texts{"a"});
  EXPECT_EQ(left_out_.empty, 2);
}

TEST_F(DocumentReaderTest, FindsSeparatorsWhereverPiecesEnd) {
  std::string bytes;
  Texts expected;
  for (int i = 0; i < 40; ++i) {
    expected.push_back(std::string(static_cast<size_t>(1 + i * 7 % 50), static_cast<char>('a' + i % 26)));
    bytes += expected.back() + "<-->";
  }
  for (int64_t piece = 16; piece < 60; ++piece)
    EXPECT_EQ(documents(scratch_.file("a.txt", bytes), {.document_separator = "<-->", .piece_bytes = piece}), expected);
}

TEST_F(DocumentReaderTest, GivesALongDocumentInPieces) {
  std::string text;
  for (int i = 0; i < 3000; ++i) text += "word" + std::to_string(i) + (i % 9 == 0 ? " und \xC3\xA4 so\n" : " abc ");
  EXPECT_EQ(documents(scratch_.file("a.txt", text), {.piece_bytes = 500}), Texts{text});
  EXPECT_GT(pieces_, static_cast<int>(text.size() / 500));
}

TEST_F(DocumentReaderTest, ReadsGzipAndZstandard) {
  EXPECT_EQ(documents(scratch_.file("a.txt.gz", kGzip)), Texts{"text\nhello\n"});
  EXPECT_EQ(documents(scratch_.file("a.jsonl.zst", kZstd)), (Texts{"x", "y"}));
  EXPECT_EQ(documents(scratch_.file("a.csv.gz", kGzip)), Texts{"hello"});
}

TEST_F(DocumentReaderTest, RejectsATruncatedArchive) {
  for (const std::string& path : {scratch_.file("a.txt.gz", kGzip.substr(0, kGzip.size() - 9)),
                                  scratch_.file("a.jsonl.zst", kZstd.substr(0, kZstd.size() - 9))})
    EXPECT_NE(error_of([&] { documents(path); }).find(path), std::string::npos);
}

TEST_F(DocumentReaderTest, ReadsTheChosenFieldOfJsonLines) {
  const std::string path =
      scratch_.file("a.jsonl", "{\"id\": 1, \"body\": \"caf\\u00e9\\n\"}\n\n{\"body\": \"b\", \"x\": [1, {}]}");
  EXPECT_EQ(documents(path, {.text_field = "body"}), (Texts{"caf\xC3\xA9\n", "b"}));
}

TEST_F(DocumentReaderTest, NamesFileAndLineOfABrokenJsonLine) {
  for (const std::string line : {"{\"text\": \"cut", "{\"text\": \"a\", bad}", "[1]", "{\"text\": 3}",
                                 "{\"txt\": \"a\"}", "{\"text\": \"\\u0000\"}", "{\"text\": \"\\ud800\"}"}) {
    const std::string path = scratch_.file("a.jsonl", "{\"text\": \"good\"}\n" + line + "\n{\"text\": \"too\"}\n");
    const std::string said = error_of([&] { documents(path); });
    EXPECT_EQ(said.find(path + ", line 2: "), 0u) << line << " -> " << said;
    EXPECT_NE(said.find("--broken-lines skip"), std::string::npos) << said;
    EXPECT_EQ(documents(path, {.broken_lines = OnBroken::skip}), (Texts{"good", "too"}));
    EXPECT_EQ(left_out_.broken_lines, 1);
  }
}

TEST_F(DocumentReaderTest, NamesTheFieldsThatAJsonLineHas) {
  const std::string path = scratch_.file("a.jsonl", "{\"body\": \"a\", \"id\": 1}\n");
  EXPECT_NE(error_of([&] { documents(path); }).find("has no field \"text\"; it has \"body\", \"id\""),
            std::string::npos);
}

TEST_F(DocumentReaderTest, ReadsQuotedTables) {
  const std::string path =
      scratch_.file("a.csv", "id,text\r\n1,\"two\nlines, \"\"quoted\"\"\"\r\n\r\n2,plain\r\n3,\"\"\n4,last");
  EXPECT_EQ(documents(path), (Texts{"two\nlines, \"quoted\"", "plain", "last"}));
  EXPECT_EQ(left_out_.empty, 1);
  EXPECT_EQ(documents(scratch_.file("a.tsv", "x\ty\na,b\tc d\n"), {.text_field = "y"}), Texts{"c d"});
  EXPECT_EQ(documents(scratch_.file("b.csv", "1,one\n2,two\n"), {.text_field = "2", .header = false}),
            (Texts{"one", "two"}));
}

TEST_F(DocumentReaderTest, NamesTheLineOfABrokenRecord) {
  const std::string path = scratch_.file("a.csv", "id,text\n1,\"a\nb\"\n2\n3,\"x\" y\n4,good\n5,\"open\n");
  EXPECT_EQ(error_of([&] { documents(path); }).find(path + ", line 4: has 1 fields, no number 2"), 0u);
  EXPECT_EQ(documents(path, {.broken_lines = OnBroken::skip}), (Texts{"a\nb", "good"}));
  EXPECT_EQ(left_out_.broken_lines, 3);
  const std::string said = error_of([&] { documents(scratch_.file("b.csv", "id,body\n1,x\n")); });
  EXPECT_NE(said.find("has no column \"text\" but \"id\", \"body\""), std::string::npos) << said;
}

TEST_F(DocumentReaderTest, RejectsBinaryFiles) {
  const std::string path = scratch_.file("a.txt", std::string("text\0more", 9));
  EXPECT_NE(error_of([&] { documents(path); }).find(path + ", after byte 0: holds a NUL byte (4 bytes on)"),
            std::string::npos);
  EXPECT_NE(error_of([&] { documents(scratch_.file("a.jsonl", std::string("{\0}\n", 4))); }).find("NUL byte"),
            std::string::npos);
}

TEST_F(DocumentReaderTest, TreatsTextThatIsNotUtf8AsTold) {
  const std::string path = scratch_.file("a.txt",
                                         "good--ba\xFF"
                                         "d--cut\xC3--fine");
  const auto read = [&](OnInvalidUtf8 policy) {
    return documents(path, {.document_separator = "--", .invalid_utf8 = policy});
  };
  const std::string said = error_of([&] { read(OnInvalidUtf8::stop); });
  EXPECT_NE(said.find(path + ", after byte 6: is not UTF-8 (2 bytes on)"), std::string::npos) << said;
  EXPECT_EQ(read(OnInvalidUtf8::replace), (Texts{"good",
                                                 "ba\xEF\xBF\xBD"
                                                 "d",
                                                 "cut\xEF\xBF\xBD", "fine"}));
  EXPECT_EQ(read(OnInvalidUtf8::skip), (Texts{"good", "fine"}));
  EXPECT_EQ(left_out_.invalid_utf8, 2);
}

TEST_F(DocumentReaderTest, LeavesOutAWholeLongDocumentForOneBadByte) {
  std::string text;
  for (int i = 0; i < 200; ++i) text += "many words here ";
  const std::string path = scratch_.file("a.txt", text + "\xFF" + text + "---" + "kept");
  EXPECT_EQ(documents(path, {.document_separator = "---", .invalid_utf8 = OnInvalidUtf8::skip, .piece_bytes = 300}),
            Texts{"kept"});
  EXPECT_EQ(left_out_.invalid_utf8, 1);
}

TEST_F(DocumentReaderTest, CountsAnEmptyFile) {
  EXPECT_EQ(documents(scratch_.file("a.txt", "")), Texts{});
  EXPECT_EQ(left_out_.empty, 1);
}

TEST_F(DocumentReaderTest, LeavesOutAByteOrderMark) {
  EXPECT_EQ(documents(scratch_.file("a.txt", "\xEF\xBB\xBFtext")), Texts{"text"});
  EXPECT_EQ(documents(scratch_.file("a.csv", "\xEF\xBB\xBFtext\nx\n")), Texts{"x"});
  EXPECT_EQ(documents(scratch_.file("a.jsonl", "\xEF\xBB\xBF{\"text\": \"x\"}\n")), Texts{"x"});
}

TEST(CorpusFiles, FindsFilesInAnOrderOfTheirNames) {
  Scratch scratch;
  for (const std::string name :
       {"d/b.txt", "d/a.jsonl.gz", "d/sub/c.csv", "d/.hidden.txt", "d/picture.png", "e.txt", "f.dat"})
    scratch.file(name, "x");
  const auto names = [&](const std::vector<std::string>& inputs) {
    std::vector<std::string> paths;
    for (const std::string& input : inputs) paths.push_back(scratch.path(input));
    std::vector<std::string> found = find_text_files(paths);
    for (std::string& file : found) file = file.substr(scratch.path().size() + 1);
    return found;
  };
  EXPECT_EQ(names({"d"}), (Texts{"d/a.jsonl.gz", "d/b.txt", "d/sub/c.csv"}));
  EXPECT_EQ(names({"f.dat", "*.txt", "d/../e.txt", "d/?.txt"}), (Texts{"f.dat", "e.txt", "d/b.txt"}));
  EXPECT_NE(error_of([&] { names({"none.txt"}); }).find("none.txt: no such file or directory"), std::string::npos);
  EXPECT_NE(error_of([&] { names({"*.none"}); }).find("*.none: matches no file"), std::string::npos);
  scratch.file("g/x.png", "x");
  EXPECT_NE(error_of([&] { names({"g"}); }).find("holds no text file"), std::string::npos);
}

}  // namespace
}  // namespace lathe::data
