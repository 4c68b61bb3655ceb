#include "lathe/base/gguf.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>

#include "lathe/base/gguf_writer.h"
#include "tests/base/gguf_support.h"
#include "tests/support/error_of.h"
#include "tests/support/temporary_directory.h"

namespace lathe {
namespace {

using test::GgufBytes;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr uint32_t kF32 = 0, kQ4_0 = 2;
constexpr uint64_t kHuge[] = {uint64_t{1} << 31,       (uint64_t{1} << 32) - 1, uint64_t{1} << 32, uint64_t{1} << 61,
                              (uint64_t{1} << 63) - 1, uint64_t{1} << 63,       UINT64_MAX - 7,    UINT64_MAX};

std::string problem(const GgufBytes& file) {
  return error_of([&] { parse_gguf(bytes_of(file.bytes), "m.gguf"); });
}

/// The problem of a file with one key of that type and what follows.
std::string problem_of_value(GgufType type, const GgufBytes& value) {
  return problem(GgufBytes().start(0, 1).string("some.key").type(type).raw(value.bytes));
}

/// The problem of a file with these tensors and `data` bytes for them.
std::string problem_of_tensors(uint64_t count, const GgufBytes& tensors, size_t data) {
  return problem(GgufBytes().start(count, 0).raw(tensors.bytes).data(data));
}

TEST(Gguf, ReadsValuesOfAllTypes) {
  GgufBytes file;
  file.start(0, 6, 2);
  file.string("small").type(GgufType::i8).raw("\xfe");
  file.string("yes").type(GgufType::boolean).raw("\1");
  file.string("half").type(GgufType::f64).number(0.5);
  file.string("large").type(GgufType::u64).u64(uint64_t{1} << 40);
  file.string("name").type(GgufType::string).string("a \xff b");
  file.string("texts").type(GgufType::array).type(GgufType::string).u64(3).string("x").string("").string("yz");
  GgufHeader header = parse_gguf(bytes_of(file.bytes), "m.gguf");
  const GgufFields& fields = header.fields;
  EXPECT_EQ(header.version, 2);
  EXPECT_EQ(fields.integer("small"), -2);
  EXPECT_EQ(fields.number("small"), -2);
  EXPECT_TRUE(fields.boolean("yes"));
  EXPECT_EQ(fields.number("half"), 0.5);
  EXPECT_EQ(fields.integer("large"), int64_t{1} << 40);
  EXPECT_EQ(fields.string("name"), "a \xff b");
  EXPECT_THAT(fields.strings("texts"), ElementsAre("x", "", "yz"));
  EXPECT_EQ(fields.integer("none", 7), 7);
  EXPECT_EQ(fields.all().size(), 6u);
}

TEST(Gguf, ReadsArraysOfArrays) {
  GgufBytes file;
  file.start(0, 2).string("nested").type(GgufType::array).type(GgufType::array).u64(2);
  file.type(GgufType::u8).u64(2).raw("\1\2");
  file.type(GgufType::string).u64(1).string("x");
  file.string("after").type(GgufType::u32).u32(9);
  GgufHeader header = parse_gguf(bytes_of(file.bytes), "m.gguf");
  EXPECT_EQ(header.fields.find("nested")->count, 2);
  EXPECT_EQ(header.fields.integer("after"), 9);
}

TEST(Gguf, ReadsTensorsInAnyOrderOfTheirBytes) {
  GgufBytes file;
  file.start(3, 0).tensor("b", {4, 2}, kF32, 64).tensor("a", {32, 3, 1}, kQ4_0, 0).tensor("one", {}, kF32, 96);
  file.data(100);
  GgufHeader header = parse_gguf(bytes_of(file.bytes), "m.gguf");
  EXPECT_THAT(header.tensors[0].shape, ElementsAre(2, 4));
  EXPECT_EQ(header.tensors[0].bytes, 32);
  EXPECT_THAT(header.tensors[1].shape, ElementsAre(1, 3, 32));
  EXPECT_EQ(header.tensors[1].bytes, 54);
  EXPECT_EQ(header.tensors[0].offset, header.tensors[1].offset + 64);
  EXPECT_EQ(header.tensors[2].elements(), 1);
}

TEST(Gguf, TakesTheAlignmentThatAFileNames) {
  GgufBytes file;
  file.start(1, 1).string("general.alignment").type(GgufType::u32).u32(64).tensor("a", {8}, kF32, 64).data(96, 64);
  GgufHeader header = parse_gguf(bytes_of(file.bytes), "m.gguf");
  EXPECT_EQ(header.alignment, 64);
  EXPECT_EQ(header.tensors[0].offset % 64, 0);
  for (uint32_t bad : {0u, 3u, 0x80000000u, UINT32_MAX})
    EXPECT_THAT(problem(GgufBytes().start(0, 1).string("general.alignment").type(GgufType::u32).u32(bad)),
                AllOf(HasSubstr("general.alignment"), HasSubstr("power of two")));
  EXPECT_THAT(problem(GgufBytes().start(0, 1).string("general.alignment").type(GgufType::i32).u32(32)),
              HasSubstr("must be a u32"));
  GgufBytes apart;
  apart.start(1, 1).string("general.alignment").type(GgufType::u32).u32(64).tensor("a", {8}, kF32, 32).data(96, 64);
  EXPECT_THAT(problem(apart), HasSubstr("\"a\": offset 32 is no multiple of the alignment 64"));
}

TEST(Gguf, RefusesWhatIsNoGguf) {
  EXPECT_THAT(problem(GgufBytes()), HasSubstr("does not begin with \"GGUF\""));
  EXPECT_THAT(problem(GgufBytes().raw("FUGG").u32(3)), HasSubstr("no GGUF file"));
  for (uint32_t version : {0u, 1u, 4u})
    EXPECT_THAT(problem(GgufBytes().start(0, 0, version)), HasSubstr(text("version ", version, " is not read")));
  EXPECT_THAT(problem(GgufBytes().start(0, 0, 3u << 24)), HasSubstr("big-endian"));
}

TEST(Gguf, RefusesAFileCutAtAnyByte) {
  GgufBytes file;
  file.start(1, 2).string("a.b").type(GgufType::array).type(GgufType::string).u64(2).string("xy").string("z");
  file.string("c").type(GgufType::f32).number(1.f).tensor("t", {32}, kQ4_0, 0).data(18);
  ASSERT_EQ(problem(file), "");
  for (size_t bytes = 0; bytes < file.bytes.size(); ++bytes)
    EXPECT_THAT(problem(GgufBytes().raw(file.bytes.substr(0, bytes))), HasSubstr("m.gguf: ")) << bytes;
}

TEST(Gguf, RefusesCountsThatTheFileHasNoRoomFor) {  // CVE-2024-23605, -25630; llama.cpp #14145, #15711
  for (uint64_t huge : kHuge) {
    EXPECT_THAT(problem(GgufBytes().start(huge, 0).data(64)), HasSubstr(text(huge, " tensors cannot lie in")));
    EXPECT_THAT(problem(GgufBytes().start(0, huge).data(64)), HasSubstr(text(huge, " metadata keys cannot lie in")));
  }
}

TEST(Gguf, RefusesStringsThatTheFileHasNoRoomFor) {  // CVE-2024-21802, -21825, -23496; GHSA-8wwf-w4qm-gpqr
  for (uint64_t huge : kHuge) {
    EXPECT_THAT(problem(GgufBytes().start(0, 1).u64(huge).data(64)), HasSubstr("key 0: the key needs"));
    EXPECT_THAT(problem_of_value(GgufType::string, GgufBytes().u64(huge).data(64)),
                AllOf(HasSubstr("some.key"), HasSubstr("the text needs")));
    EXPECT_THAT(problem_of_tensors(1, GgufBytes().u64(huge).data(32), 64), HasSubstr("tensor 0: the name needs"));
  }
}

TEST(Gguf, RefusesArraysThatTheFileHasNoRoomFor) {  // CVE-2024-21836: 16 bytes an element overflowed
  for (uint64_t huge : kHuge)
    for (GgufType element : {GgufType::u8, GgufType::f64, GgufType::string, GgufType::array})
      EXPECT_THAT(problem_of_value(GgufType::array, GgufBytes().type(element).u64(huge).data(64)),
                  AllOf(HasSubstr("some.key"), HasSubstr("elements cannot lie in")));
}

TEST(Gguf, RefusesArraysNestedWithoutEnd) {
  GgufBytes nested;
  for (int depth = 0; depth < 100'000; ++depth) nested.type(GgufType::array).u64(1);
  EXPECT_THAT(problem_of_value(GgufType::array, nested), HasSubstr("nested more than"));
}

TEST(Gguf, RefusesKeysThatAreEmptyLongOrTwice) {
  EXPECT_THAT(problem(GgufBytes().start(0, 1).string("").type(GgufType::u32).u32(1)), HasSubstr("the key is empty"));
  EXPECT_THAT(problem(GgufBytes().start(0, 1).string(std::string(65536, 'k')).type(GgufType::u32).u32(1)),
              HasSubstr("a key of 65536 bytes"));
  EXPECT_THAT(problem(GgufBytes().start(0, 1).string("\xff").type(GgufType::u32).u32(1)), HasSubstr("not UTF-8"));
  GgufBytes twice;
  twice.start(0, 2).string("k").type(GgufType::u32).u32(1).string("k").type(GgufType::u8).raw("\1");
  EXPECT_THAT(problem(twice), HasSubstr("k: the key stands twice"));
}

TEST(Gguf, RefusesTypesThatThereAreNot) {
  EXPECT_THAT(problem_of_value(GgufType(13), GgufBytes().u64(0)), HasSubstr("no type has the number 13"));
  EXPECT_THAT(problem_of_value(GgufType::array, GgufBytes().u32(77).u64(0)), HasSubstr("no type has the number 77"));
  EXPECT_THAT(problem_of_value(GgufType::boolean, GgufBytes().raw("\2")), HasSubstr("a bool is 2"));
  for (uint32_t removed : {4u, 5u, 31u, 36u, 99u})
    EXPECT_THAT(problem_of_tensors(1, GgufBytes().tensor("t", {32}, removed, 0), 99),
                AllOf(HasSubstr("\"t\""), HasSubstr(text("no tensor type has the number ", removed))));
}

TEST(Gguf, RefusesNamesOfTensorsThatAreLongOrTwice) {
  EXPECT_THAT(problem_of_tensors(1, GgufBytes().tensor(std::string(65, 'n'), {1}, kF32, 0), 4),
              HasSubstr("a name of 65 bytes"));
  EXPECT_THAT(problem_of_tensors(2, GgufBytes().tensor("t", {1}, kF32, 0).tensor("t", {1}, kF32, 32), 64),
              HasSubstr("tensor \"t\": the name stands twice"));
}

TEST(Gguf, RefusesShapesThatNoTensorHas) {
  EXPECT_THAT(problem_of_tensors(1, GgufBytes().tensor("t", {1, 1, 1, 1, 1}, kF32, 0), 4), HasSubstr("5 extents"));
  EXPECT_THAT(problem_of_tensors(1, GgufBytes().tensor("t", {4, 0}, kF32, 0), 4), HasSubstr("an extent of 0"));
  EXPECT_THAT(problem_of_tensors(1, GgufBytes().tensor("t", {UINT64_MAX}, kF32, 0), 4), HasSubstr("an extent of"));
  EXPECT_THAT(problem_of_tensors(1, GgufBytes().tensor("t", {33}, kQ4_0, 0), 99), HasSubstr("no whole blocks of 32"));
}

TEST(Gguf, RefusesSizesThatOverflow) {  // CVE-2025-53630, CVE-2026-27940
  for (uint64_t extent : {uint64_t{1} << 31, uint64_t{1} << 32, uint64_t{1} << 62})
    EXPECT_THAT(problem_of_tensors(1, GgufBytes().tensor("t", {extent, extent, 4}, kF32, 0), 64),
                AllOf(HasSubstr("\"t\""), HasSubstr("more than")));
  EXPECT_THAT(problem_of_tensors(1, GgufBytes().tensor("t", {uint64_t{1} << 61, 2}, kF32, 0), 64),
              HasSubstr("more than 9223372036854775807 bytes"));
  EXPECT_THAT(problem_of_tensors(1, GgufBytes().tensor("t", {uint64_t{1} << 60}, kF32, 0), 64), HasSubstr("truncated"));
}

TEST(Gguf, RefusesTensorsOutsideTheFile) {  // CVE-2026-7482
  EXPECT_THAT(problem_of_tensors(1, GgufBytes().tensor("t", {17}, kF32, 0), 64),
              AllOf(HasSubstr("\"t\": 68 bytes at 0"), HasSubstr("truncated")));
  EXPECT_THAT(problem_of_tensors(1, GgufBytes().tensor("t", {1}, kF32, 64), 64), HasSubstr("truncated"));
  for (uint64_t huge : kHuge)
    EXPECT_THAT(problem_of_tensors(1, GgufBytes().tensor("t", {1}, kF32, huge / 32 * 32), 64),
                AllOf(HasSubstr("\"t\""), HasSubstr("truncated")));
}

TEST(Gguf, RefusesTensorsThatOverlapOrLieAskew) {
  EXPECT_THAT(problem_of_tensors(2, GgufBytes().tensor("a", {16}, kF32, 0).tensor("b", {1}, kF32, 32), 96),
              HasSubstr("\"b\": overlaps tensor \"a\""));
  EXPECT_THAT(problem_of_tensors(1, GgufBytes().tensor("a", {1}, kF32, 4), 96), HasSubstr("offset 4 is no multiple"));
}

TEST(GgufFields, AreReadAsTheTypeThatTheyHave) {  // llama.cpp #26690: an array of u8 was read as one of f32
  GgufBytes file;
  file.start(0, 3).string("bytes").type(GgufType::array).type(GgufType::u8).u64(2).raw("\1\2");
  file.string("text").type(GgufType::string).string("x");
  file.string("much").type(GgufType::u64).u64(UINT64_MAX);
  GgufHeader header = parse_gguf(bytes_of(file.bytes), "m.gguf");
  const GgufFields& fields = header.fields;
  EXPECT_THAT(fields.numbers("bytes"), ElementsAre(1, 2));
  EXPECT_THAT(fields.integers("bytes"), ElementsAre(1, 2));
  EXPECT_EQ(error_of([&] { fields.strings("bytes"); }),
            "m.gguf: bytes must be an array of strings, here it is an array of u8");
  EXPECT_EQ(error_of([&] { fields.integer("text"); }), "m.gguf: text must be a whole number, here it is a string");
  EXPECT_EQ(error_of([&] { fields.integer("bytes"); }),
            "m.gguf: bytes must be a whole number, here it is an array of u8");
  EXPECT_THAT(error_of([&] { fields.integer("much"); }), HasSubstr("m.gguf: much must be a whole number"));
  EXPECT_EQ(error_of([&] { fields.string("gone"); }), "m.gguf: gone is missing");
}

GgufTensorSource floats(const std::string& name, std::vector<int64_t> shape, float first) {
  GgufTensorSource source{name, GgmlType::f32, std::move(shape), nullptr};
  source.fill = [count = source.bytes() / 4, first](const std::function<void(Bytes)>& write) {
    for (int64_t i = 0; i < count; ++i) {
      float value = first + float(i);
      write(std::as_bytes(std::span(&value, 1)));
    }
  };
  return source;
}

TEST(GgufWriter, WritesWhatTheReaderReads) {
  TemporaryDirectory folder;
  GgufMetadata metadata;
  metadata.set_string("general.name", "first");
  metadata.set_u32("llama.block_count", 3);
  metadata.set_strings("tokens", std::vector<std::string>{"a", "", "b"});
  metadata.set_f32s("scores", std::vector<float>{0.5f, -1});
  metadata.set_i32s("types", std::vector<int32_t>{1, -6});
  metadata.set_bool("flag", true);
  metadata.set_string("general.name", "second");
  const GgufTensorSource tensors[] = {floats("one", {5}, 1), floats("two", {2, 3}, 7)};
  write_gguf(folder.path("m.gguf"), metadata, tensors);
  EXPECT_EQ(int64_t(content_of(folder.path("m.gguf")).size()), gguf_bytes(metadata, tensors));
  EXPECT_TRUE(is_gguf(folder.path("m.gguf")));
  GgufFile file(folder.path("m.gguf"));
  EXPECT_EQ(file.fields().string("general.name"), "second");
  EXPECT_EQ(file.fields().all()[0].key, "general.name");
  EXPECT_EQ(file.fields().integer("llama.block_count"), 3);
  EXPECT_THAT(file.fields().strings("tokens"), ElementsAre("a", "", "b"));
  EXPECT_THAT(file.fields().numbers("scores"), ElementsAre(0.5f, -1));
  EXPECT_THAT(file.fields().integers("types"), ElementsAre(1, -6));
  const GgufTensor* two = file.find("two");
  ASSERT_NE(two, nullptr);
  EXPECT_THAT(two->shape, ElementsAre(2, 3));
  EXPECT_EQ(two->offset % 32, 0);
  float last = 0;
  std::memcpy(&last, file.bytes(*two).data() + 20, 4);
  EXPECT_EQ(last, 12);
}

TEST(GgufWriter, CopiesFieldsAsTheyAre) {
  GgufBytes file;
  file.start(0, 4).string("a").type(GgufType::i16).raw("\1\2").string("b").type(GgufType::string).string("text");
  file.string("c").type(GgufType::array).type(GgufType::array).u64(1).type(GgufType::u8).u64(1).raw("x");
  file.string("d").type(GgufType::array).type(GgufType::string).u64(1).string("y");
  GgufHeader header = parse_gguf(bytes_of(file.bytes), "m.gguf");
  GgufMetadata copy;
  for (const GgufFields::Field& field : header.fields.all()) copy.set(std::string(field.key), field.value);
  EXPECT_EQ(copy.bytes(), file.bytes.substr(24));
  EXPECT_EQ(copy.read("copy").integer("a"), 0x201);
  EXPECT_THAT(copy.read("copy").strings("d"), ElementsAre("y"));
  copy.erase("a");
  EXPECT_FALSE(copy.has("a"));
}

TEST(GgufWriter, RefusesWhatNoFileHolds) {
  GgufMetadata metadata;
  EXPECT_THAT(error_of([&] { metadata.set_u32("k", -1); }), HasSubstr("k: -1 does not fit"));
  GgufTensorSource odd{"odd", GgmlType::q8_0, {2, 33}, nullptr}, deep{"deep", GgmlType::f32, {1, 1, 1, 1, 1}, nullptr};
  EXPECT_THAT(error_of([&] { gguf_bytes(metadata, std::span(&odd, 1)); }), HasSubstr("rows of 33 elements"));
  EXPECT_THAT(error_of([&] { gguf_bytes(metadata, std::span(&deep, 1)); }), HasSubstr("this one has 5"));
}

}  // namespace
}  // namespace lathe
