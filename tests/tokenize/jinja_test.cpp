#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>

#include "lathe/tokenize/jinja_template.h"
#include "tests/support/error_of.h"

namespace lathe::jinja {
namespace {

using testing::HasSubstr;

std::string rendered(const std::string& source, const Limits& limits = {}) {
  return Template(source, "t").render(limits, 0, [](Scope&, Run&) {}).bytes();
}

std::string error(const std::string& source, const Limits& limits = {}) {
  return error_of([&] { rendered(source, limits); });
}

TEST(Jinja, TakesWhitespaceAwayAsTrimAndLstripBlocksDo) {
  EXPECT_EQ(rendered("a\n  {% if true %}\n  b\n  {% endif %}\nc\n"), "a\n  b\nc");
  EXPECT_EQ(rendered("a  {%- if true -%}  b  {%- endif -%}  c"), "abc");
  EXPECT_EQ(rendered("a\n  {%+ if true +%}\nb{% endif %}"), "a\n  \nb");
  EXPECT_EQ(rendered("x  {# note #}\ny {{- 1 -}} z"), "x  y1z");
  EXPECT_EQ(rendered("  {{ 1 }}\n"), "  1");
  EXPECT_EQ(rendered("{% raw %}{{ x }}{% endraw %}\r\ny"), "{{ x }}y");
}

TEST(Jinja, KeepsWhatALoopSetsInTheLoop) {
  EXPECT_EQ(rendered("{% set x = 1 %}{% for i in [1, 2] %}{{ x }}{% set x = 5 %}{{ x }}{% endfor %}{{ x }}"), "15151");
  EXPECT_EQ(rendered("{% set n = namespace(x=1) %}{% for i in [1, 2] %}{% set n.x = n.x + i %}{% endfor %}{{ n.x }}"),
            "4");
  EXPECT_EQ(rendered("{% if true %}{% set x = 2 %}{% endif %}{{ x }}"), "2");
}

TEST(Jinja, CallsMacrosWithDefaultsNamesAndCallers) {
  EXPECT_EQ(rendered("{% macro m(a, b=2) %}{{ a }}-{{ b }}{{ varargs }}{% endmacro %}{{ m(1) }} {{ m(1, b=3) }} "
                     "{{ m(1, 2, 3) }}"),
            "1-2() 1-3() 1-2(3,)");
  EXPECT_EQ(rendered("{% macro m() %}<{{ caller(1) }}>{% endmacro %}{% call(x) m() %}{{ x + 1 }}{% endcall %}"), "<2>");
}

TEST(Jinja, ShowsTheTimeItIsGiven) {
  std::tm time{.tm_mday = 5, .tm_mon = 6, .tm_year = 124, .tm_isdst = -1};
  MarkedText text =
      Template("{{ strftime_now('%d %B %Y, %-d %%') }}", "t").render({}, std::mktime(&time), [](auto&, auto&) {});
  EXPECT_EQ(text.bytes(), "05 July 2024, 5 %");
  EXPECT_THAT(error("{{ strftime_now('%Q') }}"), HasSubstr("t:1: strftime_now: '%Q' is not supported"));
}

TEST(Jinja, NamesLineAndConstructOfWhatItDoesNotSupport) {
  EXPECT_THAT(error("a\n{% include 'x' %}"), HasSubstr("t:2: {% include %} is not supported: a chat template is one"));
  EXPECT_THAT(error("{% import 'os' as os %}"), HasSubstr("t:1: {% import %} is not supported"));
  EXPECT_THAT(error("{% extends 'x' %}"), HasSubstr("t:1: {% extends %} is not supported"));
  EXPECT_THAT(error("\n\n{% trans %}"), HasSubstr("t:3: {% trans %} is not supported"));
  EXPECT_THAT(error("{{ 1 | urlize }}"), HasSubstr("t:1: the filter 'urlize' is not supported"));
  EXPECT_THAT(error("{{ 1 | trimm }}"), HasSubstr("did you mean 'trim'"));
  EXPECT_THAT(error("{{ 1 is strange }}"), HasSubstr("t:1: the test 'strange' is not supported"));
  EXPECT_THAT(error("{{ 'x'.format(1) }}"), HasSubstr("t:1: the method 'format' of texts is not supported"));
  EXPECT_THAT(error("{{ '%s' % 1 }}"), HasSubstr("t:1: formatting text with % is not supported"));
}

TEST(Jinja, NamesLineAndPlaceOfWhatIsNoTemplate) {
  EXPECT_THAT(error("{{ 1"), HasSubstr("t:1: {{ has no }} behind it"));
  EXPECT_THAT(error("{% if true %}\nx"), HasSubstr("t:2: the template ends inside the block of line 1: {% endif %}"));
  EXPECT_THAT(error("{{ 1 + }}"), HasSubstr("t:1: an expression is expected, here is '}}'"));
  EXPECT_THAT(error("{{ (1 }}"), HasSubstr("t:1:"));
  EXPECT_THAT(error("{% endif %}"), HasSubstr("{% endif %} closes nothing"));
  EXPECT_THAT(error("{# a"), HasSubstr("t:1: a comment {# has no #}"));
  EXPECT_THAT(error("{{ 'a }}"), HasSubstr("t:1: a string has no ' at its end"));
  EXPECT_THAT(error("{% break %}"), HasSubstr("{% break %} stands outside of a loop"));
  EXPECT_THAT(error("{{ $ }}"), HasSubstr("'$' means nothing in a tag"));
  EXPECT_THAT(error("\xFF"), HasSubstr("t: not UTF-8 at byte 0"));
}

TEST(Jinja, FailsWherePythonWould) {
  EXPECT_THAT(error("{{ a.b.c }}"), HasSubstr("t:1: 'a' is undefined"));
  EXPECT_THAT(error("{{ 'a' + 1 }}"), HasSubstr("t:1: 'str' + 'int' is not possible"));
  EXPECT_THAT(error("{{ 1 // 0 }}"), HasSubstr("division by zero"));
  EXPECT_THAT(error("{{ 9223372036854775807 + 1 }}"), HasSubstr("more than 64 bits"));
  EXPECT_THAT(error("x\n{{ raise_exception('no tools') }}"), HasSubstr("t:2: no tools"));
  EXPECT_THAT(error("{{ [].append(1) }}"), HasSubstr("'append' would change a list, which a template may not"));
  EXPECT_THAT(error("{{ {}.update(a=1) }}"), HasSubstr("'update' would change a dict"));
}

TEST(Jinja, GivesAWayToNothingOfTheProgram) {
  EXPECT_THAT(error("{{ ''.__class__.__mro__ }}"), HasSubstr("may not use the attribute '__class__'"));
  EXPECT_THAT(error("{{ (1)['__class__']() }}"), HasSubstr("may not use the attribute '__class__'"));
  EXPECT_THAT(error("{{ range.__globals__.os }}"), HasSubstr("may not use the attribute '__globals__'"));
  EXPECT_THAT(error("{{ self._TemplateReference__context }}"), HasSubstr("'self' is undefined"));
  EXPECT_THAT(error("{% set n = namespace() %}{% set n.__class__ = 1 %}"), HasSubstr("names with _ in front"));
}

/// Ends in an Error, in time.
void expect_bounded(const std::string& source, const char* what) {
  auto start = std::chrono::steady_clock::now();
  Limits limits{.work = 1'000'000, .bytes = 16 << 20, .output = 1 << 20};
  EXPECT_THAT(error(source, limits), HasSubstr(what)) << source.substr(0, 200);
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(5));
}

std::string repeated(const std::string& text, int times) {
  std::string all;
  for (int i = 0; i < times; ++i) all += text;
  return all;
}

TEST(Jinja, EndsWhatLoopsWithoutEnd) {
  std::string loop = "{% for i in range(100000) %}";
  expect_bounded(loop + loop + loop + "{% endfor %}{% endfor %}{% endfor %}", "this template ");
  expect_bounded("{{ range(100001) }}", "more than 100000 numbers");
  expect_bounded("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "nests more than");
  expect_bounded("{% for x in [[1]] recursive %}{{ loop([[1]]) }}{% endfor %}", "nests more than");
}

TEST(Jinja, EndsWhatGrowsWithoutEnd) {
  expect_bounded("{{ 'x' * 1000000000000 }}", "this template ");
  expect_bounded(
      "{% set n = namespace(s='xxxxxxxxxxxxxxxx') %}{% for i in range(100) %}{% set n.s = n.s + n.s %}{% endfor %}",
      "this template ");
  expect_bounded("{% set n = namespace(s='x' * 1000) %}{% for i in range(100000) %}{{ n.s }}{% endfor %}",
                 "this template ");
  expect_bounded("{{ [[1] * 100000] * 100000 }}", "this template ");
  expect_bounded("{{ 'a' | indent(1000000000) }}", "this template ");
  expect_bounded("{{ 'a' | center(100000000000) }}", "this template ");
  expect_bounded("{{ ('x' * 100000).replace('', 'y' * 100000) }}", "this template ");
  expect_bounded("{{ ('x,' * 100000).split(',') | join('y' * 100000) }}", "this template ");
  expect_bounded("{% set n = namespace(l=[]) %}{% for i in range(99999) %}{% set n.l = n.l + [i] %}{% endfor %}",
                 "this template ");
}

TEST(Jinja, EndsWhatNestsDeeply) {
  expect_bounded("{{ " + repeated("(", 10000) + "1" + repeated(")", 10000) + " }}", "nest more than 400 deep");
  expect_bounded("{{ " + repeated("not ", 10000) + "1 }}", "nest more than 400 deep");
  expect_bounded("{{ " + repeated("-", 10000) + "1 }}", "nest more than 400 deep");
  expect_bounded("{{ 1" + repeated(" + 1", 100000) + " }}", "nests more than");
  expect_bounded("{{ x" + repeated(".a", 100000) + " }}", "nests more than");
  expect_bounded("{{ 1" + repeated("|string", 100000) + " }}", "nests more than");
  expect_bounded(repeated("{% if 1 %}", 10000), "nest more than 60 deep");
  expect_bounded("{% set " + repeated("(", 10000) + "a" + repeated(")", 10000) + " = 1 %}", "nest more than 60 deep");
  expect_bounded("{% set n = namespace(l=[]) %}{% for i in range(5000) %}{% set n.l = [n.l] %}{% endfor %}{{ n.l }}",
                 "nests more than");
  expect_bounded(
      "{% set n = namespace(l=[]) %}{% for i in range(5000) %}{% set n.l = [n.l] %}{% endfor %}{{ n.l == n.l + [] }}{{ "
      "n.l | tojson }}",
      "nests more than");
}

TEST(Jinja, TakesNamespacesThatHoldThemselves) {
  EXPECT_THAT(error("{% set n = namespace() %}{% set n.n = n %}{{ n.n.n.n == n }}{{ n }}"),
              HasSubstr("printing a namespace is not supported"));
}

}  // namespace
}  // namespace lathe::jinja
