#include "lathe/base/chart.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

#include "lathe/base/numbers.h"

namespace lathe {
namespace {

using testing::DoubleEq;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

Chart chart_of(std::vector<double> y) {
  Curve curve{.name = "loss"};
  curve.y = std::move(y);
  curve.x.resize(curve.y.size());
  std::iota(curve.x.begin(), curve.x.end(), 1);
  Chart chart{.title = "Loss", .x_name = "step"};
  chart.x_text = chart.y_text = [](double value) { return format_float(float(value)); };
  chart.curves = {curve};
  return chart;
}

/// The `d` of the curve's path.
std::string path_of(const std::string& svg) {
  size_t start = svg.rfind("<path class=\"chart-line color-0\" d=\"") + 36;
  return svg.substr(start, svg.find('"', start) - start);
}

TEST(Ticks, AreRoundNumbersWithinTheRange) {
  EXPECT_THAT(ticks_between(0, 10, 5), ElementsAre(0, 2, 4, 6, 8, 10));
  EXPECT_THAT(ticks_between(3.4, 7.1, 8), ElementsAre(3.5, 4, 4.5, 5, 5.5, 6, 6.5, 7));
  EXPECT_THAT(ticks_between(0, 2.1e-4, 4), ElementsAre(DoubleEq(0), DoubleEq(1e-4), DoubleEq(2e-4)));
  EXPECT_FALSE(std::signbit(ticks_between(-0.3, 1, 3).front()));
}

TEST(Smoothed, LeavesAConstantAndSkipsWhatIsNoNumber) {
  EXPECT_THAT(smoothed({2, NAN, 2, INFINITY, 2}, 1), ElementsAre(2, 2, 2, 2, 2));
  EXPECT_TRUE(std::isnan(smoothed({NAN, 1}, 0)[0]));
  EXPECT_TRUE(smoothed({}, 3).empty());
}

TEST(Smoothed, KeepsASteepStartAndTheMeanOfTheLastValues) {
  EXPECT_THAT(smoothed({9, 6, 3, 0}, 2), ElementsAre(9, 6, 4.5, 3));
}

TEST(Chart, DrawsOneSubpathForEachStretchWithoutAGap) {
  std::string path = path_of(svg_element(chart_of({1, 2, NAN, 3, INFINITY, 4, 5})));
  EXPECT_EQ(std::count(path.begin(), path.end(), 'M'), 3);
  EXPECT_EQ(std::count(path.begin(), path.end(), 'L'), 2);
  EXPECT_THAT(path, Not(HasSubstr("n")));
}

TEST(Chart, ShowsASinglePointAsADot) { EXPECT_THAT(svg_element(chart_of({4.5})), HasSubstr("<circle")); }

TEST(Chart, SaysWhenItHasNothing) {
  for (const Chart& chart : {chart_of({}), chart_of({NAN, NAN}), Chart{.title = "empty"}})
    EXPECT_THAT(svg_element(chart), HasSubstr("nothing logged yet"));
}

TEST(Chart, DrawsACurveThatNeverChanges) {
  std::string svg = svg_element(chart_of({0, 0, 0}));
  EXPECT_THAT(svg, Not(HasSubstr("nan")));
  EXPECT_THAT(svg, Not(HasSubstr("inf")));
}

TEST(Chart, StaysSmallAndKeepsPeaksHoweverManyPoints) {
  std::vector<double> y(100'000, 1);
  y[31'415] = 50;
  Curve fewer = reduced(chart_of(y).curves[0], 400);
  EXPECT_LE(fewer.y.size(), 800u);
  EXPECT_EQ(*std::max_element(fewer.y.begin(), fewer.y.end()), 50);
  EXPECT_LT(svg_element(chart_of(y)).size(), 30'000u);
}

TEST(Chart, KeepsRareOutliersOfAFaintCurveFromSqueezingTheRest) {
  std::vector<double> y(1000, 2);
  y[0] = 3;
  y[500] = 1e9;
  Chart chart = chart_of(y);
  EXPECT_THAT(svg_element(chart), HasSubstr(">1000000000<"));
  chart.curves[0].look = Curve::Look::faint;
  EXPECT_THAT(svg_element(chart), Not(HasSubstr("000000<")));
}

TEST(Chart, EscapesItsTexts) {
  Chart chart = chart_of({1, 2});
  chart.title = "a < b";
  chart.x_name = "\"x\"";
  chart.curves[0].name = "<b>";
  chart.marks = {{1, 0, "<i>", "<u>"}};
  std::string svg = svg_element(chart);
  for (const char* raw : {"a < b", "\"x\"<", "<b>", "<i>", "<u>"}) EXPECT_THAT(svg, Not(HasSubstr(raw)));
}

TEST(Chart, NamesAKindOfMarkOnceAndDrawsOneAColumn) {
  Chart chart = chart_of({1, 2});
  for (int i = 0; i < 10'000; ++i) chart.marks.push_back({1 + i / 10'000.0, 3, "saved", "checkpoint"});
  std::string svg = svg_element(chart);
  EXPECT_EQ(svg.find(">saved<"), svg.rfind(">saved<"));
  EXPECT_LT(svg.size(), 30'000u);
}

TEST(Chart, IsACompleteFileForBothLightAndDark) {
  std::string svg = svg_file(chart_of({1, 2}));
  EXPECT_THAT(svg, testing::StartsWith("<svg class=\"chart\""));
  EXPECT_THAT(svg, HasSubstr("xmlns=\"http://www.w3.org/2000/svg\""));
  EXPECT_THAT(svg, HasSubstr("prefers-color-scheme: dark"));
}

}  // namespace
}  // namespace lathe
