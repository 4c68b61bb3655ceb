#include "lathe/base/json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/support/error_of.h"
#include "tests/support/temporary_directory.h"

namespace lathe {
namespace {

using testing::HasSubstr;

std::string problem_of(const std::string& text, const JsonLimits& limits = {}) {
  return error_of([&] { parse_json(text, "a.json", limits); });
}

TEST(ParseJson, GivesWhatNlohmannGives) {
  std::string text = R"({"a": [1, -2, 3.5, {"b": null}], "c": {"d": "\u00e9\n", "e": [[], {}]}, "f": true})";
  EXPECT_EQ(parse_json(text, "a.json"), nlohmann::json::parse(text));
  EXPECT_EQ(parse_json("3", "a.json"), 3);
}

TEST(ParseJson, NamesFileAndLineOfWhatIsNoJson) {
  EXPECT_THAT(problem_of("{\n\"a\": 1,\n}"), HasSubstr("a.json:3: not JSON: "));
  EXPECT_THAT(problem_of(""), HasSubstr("a.json:1: not JSON"));
  EXPECT_THAT(problem_of("[1] x"), HasSubstr("not JSON"));
}

TEST(ParseJson, RefusesNumbersThatAreNone) {
  for (const char* bad : {"[NaN]", "[Infinity]", "[-inf]", "[1e999]", "[01]"})
    EXPECT_THAT(problem_of(bad), HasSubstr("not JSON")) << bad;
}

TEST(ParseJson, RefusesANameThatStandsTwice) {
  EXPECT_EQ(problem_of(R"({"x": {"a": 1, "a": 2}})"), "a.json: 'a' stands twice in one object");
}

TEST(ParseJson, RefusesWhatIsNotUtf8) { EXPECT_THAT(problem_of("[\"\xff\"]"), HasSubstr("not UTF-8 at byte 2")); }

TEST(ParseJson, RefusesBombs) {
  EXPECT_THAT(problem_of(std::string(1 << 20, '[')), HasSubstr("nested more than 64 deep"));
  EXPECT_THAT(problem_of("[1,2,3]", {.bytes = 5}), HasSubstr("7 bytes of JSON, at most 5"));
  EXPECT_THAT(problem_of("[1,2,3]", {.values = 3}), HasSubstr("more than 3 values"));
}

TEST(ReadJson, NamesTheFile) {
  TemporaryDirectory directory;
  EXPECT_EQ(read_json(directory.file("a.json", "[1]")), nlohmann::json({1}));
  EXPECT_THAT(error_of([] { read_json("/no/config.json"); }), HasSubstr("cannot read /no/config.json"));
}

TEST(PrintJson, RejectsTextThatIsNotUtf8) {
  EXPECT_EQ(print_json(nlohmann::json{{"a", 1}}), "{\n  \"a\": 1\n}\n");
  EXPECT_THAT(error_of([] { print_json(nlohmann::json("\xff")); }), HasSubstr("cannot write JSON"));
}

TEST(JsonFields, ReadsFieldsOfEachType) {
  nlohmann::json json = parse_json(
      R"({"i": 3, "f": 2.5, "whole": 4.0, "b": true, "s": "x", "n": null, "is": [1, 2], "ss": ["a"], "o": {"i": 1}})",
      "");
  JsonFields fields(json, "a.json");
  EXPECT_EQ(fields.integer("i"), 3);
  EXPECT_EQ(fields.integer("whole"), 4);
  EXPECT_EQ(fields.number("i") + fields.number("f"), 5.5);
  EXPECT_TRUE(fields.boolean("b"));
  EXPECT_EQ(fields.string("s"), "x");
  EXPECT_EQ(fields.integer("n", 7) + fields.integer("none", 8), 15);
  EXPECT_EQ(fields.string("none", "y"), "y");
  EXPECT_EQ(fields.integers("is"), (std::vector<int64_t>{1, 2}));
  EXPECT_EQ(fields.strings("ss"), (std::vector<std::string>{"a"}));
  EXPECT_EQ(fields.object("o").integer("i"), 1);
  EXPECT_EQ(fields.names().size(), 9u);
}

TEST(JsonFields, NamesFileFieldAndType) {
  nlohmann::json json = parse_json(R"({"o": {"i": "3", "f": 1.5, "big": 18446744073709551615, "l": [1, "a"]}})", "");
  JsonFields fields(json, "a.json");
  JsonFields inner = fields.object("o");
  EXPECT_EQ(error_of([&] { inner.integer("i"); }), "a.json: o.i must be a whole number, here it is string");
  EXPECT_EQ(error_of([&] { inner.integer("f"); }), "a.json: o.f must be a whole number, here it is 1.5");
  EXPECT_THAT(error_of([&] { inner.integer("big"); }), HasSubstr("here it is 18446744073709551615"));
  EXPECT_THAT(error_of([&] { inner.integers("l"); }), HasSubstr("o.l must be a list of whole numbers"));
  EXPECT_EQ(error_of([&] { inner.integer("x"); }), "a.json: o.x is missing");
  EXPECT_THAT(error_of([&] { inner.object("i"); }), HasSubstr("o.i must be an object, here it is string"));
  EXPECT_THAT(error_of([&] { JsonFields(nlohmann::json::array(), "a.json"); }),
              HasSubstr("a.json: it must be an object"));
}

}  // namespace
}  // namespace lathe
