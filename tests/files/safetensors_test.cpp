#include "lathe/files/safetensors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <fstream>

#include "lathe/base/text_input.h"
#include "tests/files/files_support.h"
#include "tests/support/error_of.h"

namespace lathe {
namespace {

using testing::AllOf;
using testing::HasSubstr;

std::string header_error(const std::string& json, int64_t data_bytes) {
  return error_of([&] { parse_safetensors_header(json, data_bytes, "x.safetensors"); });
}

/// A header's entry of F32 [`count`] at `first` to `last`.
std::string entry(const std::string& name, int64_t count, int64_t first, int64_t last) {
  return text('"', name, R"(":{"dtype":"F32","shape":[)", count, R"(],"data_offsets":[)", first, ',', last, "]}");
}

class SafetensorsTest : public test::FolderTest {
 protected:
  /// A file with the header length that it claims.
  std::string file(const std::string& name, uint64_t header_bytes, const std::string& behind) {
    std::string bytes(8, '\0');
    std::memcpy(bytes.data(), &header_bytes, 8);
    return write(name, bytes + behind);
  }
  std::string open_error(const std::string& path) {
    return error_of([&] { SafetensorsFile file(path); });
  }
  TensorSource source(const std::string& name, std::vector<float> values) {
    return {name, DType::f32, {int64_t(values.size())}, [values](const auto& fill) {
              fill(std::as_bytes(std::span(values)));
            }};
  }
};

TEST_F(SafetensorsTest, ReadsWhatItWrote) {
  const TensorSource sources[] = {source("a", {1, 2, 3}), source("none", {}), source("b", {4})};
  write_safetensors(path("x.safetensors"), sources, {{"format", "pt"}});
  SafetensorsFile file(path("x.safetensors"));
  ASSERT_EQ(file.entries().size(), 3u);
  EXPECT_EQ(file.metadata().at("format"), "pt");
  const TensorEntry& b = file.entries().back();
  EXPECT_EQ(b.name, "b");
  float value = 0;
  std::memcpy(&value, file.bytes(b).data(), 4);
  EXPECT_EQ(value, 4);
  EXPECT_EQ(int64_t(std::filesystem::file_size(path("x.safetensors"))), safetensors_bytes(sources, {{"format", "pt"}}));
}

TEST_F(SafetensorsTest, RefusesATruncatedFile) {
  const TensorSource sources[] = {source("a", {1, 2, 3}), source("b", {4})};
  write_safetensors(path("x.safetensors"), sources);
  const std::string whole = read_text(path("x.safetensors"));
  for (size_t size = 0; size < whole.size(); size += 11)
    EXPECT_THAT(open_error(write("cut.safetensors", whole.substr(0, size))), HasSubstr("cut.safetensors")) << size;
  EXPECT_THAT(open_error(write("cut.safetensors", whole.substr(0, whole.size() - 1))), HasSubstr("truncated"));
}

TEST_F(SafetensorsTest, RefusesALengthThatLies) {
  const std::string header = "{" + entry("a", 1, 0, 4) + "}";
  EXPECT_THAT(open_error(file("x", UINT64_MAX, header)), HasSubstr("is larger than"));
  EXPECT_THAT(open_error(file("x", 90'000'000, header)), AllOf(HasSubstr("header of 90000000"), HasSubstr("x")));
  EXPECT_THAT(open_error(file("x", 3, header + "1234")), HasSubstr("no valid JSON"));
  EXPECT_THAT(open_error(file("x", 0, header)), HasSubstr("no valid JSON"));
  EXPECT_EQ(open_error(file("x", header.size(), header + "1234")), "");
}

TEST(SafetensorsHeader, MustTileTheData) {
  EXPECT_THAT(header_error("{" + entry("a", 2, 0, 8) + "," + entry("b", 2, 4, 12) + "}", 12),
              AllOf(HasSubstr("\"b\""), HasSubstr("overlaps")));
  EXPECT_THAT(header_error("{" + entry("a", 1, 0, 4) + "," + entry("b", 1, 8, 12) + "}", 12),
              HasSubstr("4 bytes before tensor \"b\" belong to none"));
  EXPECT_THAT(header_error("{" + entry("a", 1, 0, 4) + "}", 12), HasSubstr("8 bytes after the last tensor"));
  EXPECT_THAT(header_error("{" + entry("a", 3, 0, 12) + "}", 8),
              AllOf(HasSubstr("ends at byte 12 of 8"), HasSubstr("truncated")));
}

TEST(SafetensorsHeader, MustHaveTheBytesOfItsShapes) {
  EXPECT_THAT(header_error("{" + entry("a", 2, 0, 4) + "}", 4), HasSubstr("needs 8 bytes for its shape but has 4"));
  EXPECT_THAT(header_error("{" + entry("a", 1, 8, 4) + "}", 8), HasSubstr("has -4"));
  EXPECT_THAT(header_error("{" + entry("a", 1, 0, -4) + "}", 8), HasSubstr("no whole number"));
  const std::string huge = R"({"a":{"dtype":"F32","shape":[4611686018427387904,4,0],"data_offsets":[0,0]}})";
  EXPECT_THAT(header_error(huge, 0), HasSubstr("\"a\" needs"));
  const std::string wide = R"({"a":{"dtype":"F32","shape":[9223372036854775807],"data_offsets":[0,8]}})";
  EXPECT_THAT(header_error(wide, 8), HasSubstr("\"a\" needs"));
}

TEST(SafetensorsHeader, MustSayWhatItsTensorsAre) {
  EXPECT_THAT(header_error("[]", 0), HasSubstr("no JSON object"));
  EXPECT_THAT(header_error("{" + entry("a", 1, 0, 4) + "," + entry("a", 1, 4, 8) + "}", 8), HasSubstr("appears twice"));
  EXPECT_THAT(header_error(R"({"a":{"dtype":"F99","shape":[],"data_offsets":[0,4]}})", 4),
              AllOf(HasSubstr("type F99"), HasSubstr("known are F64, F32")));
  for (const char* lacking : {R"({"a":1})", R"({"a":{"shape":[1],"data_offsets":[0,4]}})",
                              R"({"a":{"dtype":"F32","shape":1,"data_offsets":[0,4]}})",
                              R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4,8]}})"})
    EXPECT_THAT(header_error(lacking, 4), HasSubstr("\"a\" lacks dtype, shape or a pair of data_offsets")) << lacking;
  EXPECT_THAT(header_error(R"({"a":{"dtype":"F32","shape":[1.5],"data_offsets":[0,4]}})", 4),
              HasSubstr("no whole number"));
  EXPECT_THAT(header_error(R"({"__metadata__":{"format":1}})", 0), HasSubstr("metadata \"format\" is no string"));
}

TEST(SafetensorsHeader, IsRefusedWhenItIsABomb) {
  EXPECT_THAT(header_error(std::string(1 << 20, '['), 0), HasSubstr("no valid JSON"));
  std::string nested;
  for (int i = 0; i < 100000; ++i) nested += "{\"a\":";
  EXPECT_THAT(header_error(nested, 0), HasSubstr("no valid JSON"));
}

TEST(SafetensorsHeader, MayHaveEveryTypeOfTheFormat) {
  const std::pair<const char*, int> bits[] = {
      {"BOOL", 8},    {"F4", 4},      {"F6_E2M3", 6},     {"F6_E3M2", 6},    {"U8", 8},   {"I8", 8},
      {"F8_E5M2", 8}, {"F8_E4M3", 8}, {"I16", 16},        {"U16", 16},       {"F16", 16}, {"BF16", 16},
      {"I32", 32},    {"U32", 32},    {"F32", 32},        {"C64", 64},       {"F64", 64}, {"I64", 64},
      {"U64", 64},    {"F8_E8M0", 8}, {"F8_E4M3FNUZ", 8}, {"F8_E5M2FNUZ", 8}};
  for (auto [type, each] : bits) {
    const int bytes = each;  // of 8
    EXPECT_EQ(
        header_error(text(R"({"a":{"dtype":")", type, R"(","shape":[8],"data_offsets":[0,)", bytes, "]}}"), bytes), "")
        << type;
  }
  EXPECT_THAT(header_error(R"({"a":{"dtype":"F4","shape":[3],"data_offsets":[0,2]}})", 2),
              HasSubstr("no whole number"));
}

TEST(ElementTypes, OfEightBitsAreReadAsTheirFormatsSay) {
  auto value = [](const char* type, uint8_t bits) {
    const std::byte element{bits};
    return find_element_type(type)->value(&element);
  };
  EXPECT_EQ(value("F8_E4M3FNUZ", 0x40), 1);
  EXPECT_EQ(value("F8_E4M3FNUZ", 0xff), -240);
  EXPECT_EQ(value("F8_E5M2FNUZ", 0x40), 1);
  EXPECT_EQ(value("F8_E5M2FNUZ", 0x7f), 57344);
  EXPECT_EQ(value("F8_E4M3", 0x7e), 448);
  for (const char* type : {"F8_E4M3FNUZ", "F8_E5M2FNUZ"}) EXPECT_TRUE(std::isnan(value(type, 0x80)));
}

}  // namespace
}  // namespace lathe
