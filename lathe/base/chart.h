#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace lathe {

/// A curve of a chart: points in rising order of x; a y that is not finite makes a gap.
struct Curve {
  enum class Look : uint8_t { line, faint, dots };  ///< faint: every value behind a smoothed line; dots: few, joined
  std::string name;                                 ///< in the legend; empty: not there
  Look look = Look::line;
  int color = 0;  ///< 0 to 5
  std::vector<double> x, y;
};

/// A moment that is marked below the curves.
struct ChartMark {
  double x = 0;
  int color = 0;
  std::string name;   ///< of its kind, in the legend once
  std::string title;  ///< shown by a pointer on it
};

/// Curves over one axis, drawn as SVG: axes with round ticks, a legend, at most a few points a pixel however many there
/// are. Colours are the CSS classes of chart_style(), so that a page decides about light and dark.
struct Chart {
  std::string title, x_name;
  int width = 480, height = 300;  ///< units of the drawing; it scales to the space it is given
  bool from_zero = false;         ///< the y axis begins at 0
  std::vector<Curve> curves;
  std::vector<ChartMark> marks;
  std::function<std::string(double)> x_text, y_text;  ///< of ticks
};

/// An <svg> element for a page that has chart_style() in its style sheet. A chart without points says so.
std::string svg_element(const Chart& chart);
/// The text of a .svg file: the same with its own style, on a ground of its own.
std::string svg_file(const Chart& chart);
/// CSS for svg_element(), which follows the reader's choice of light or dark.
std::string chart_style();

/// Round numbers from `low` to `high`, about `count` of them, both ends within.
std::vector<double> ticks_between(double low, double high, int count);
/// Each y as the mean of those finite ones at most `reach` places away; near the start as many after as before it,
/// since losses fall fast there.
std::vector<double> smoothed(const std::vector<double>& y, size_t reach);
/// The same curve in at most about 2 * `columns` points: of many that share a column, the least and the largest.
Curve reduced(const Curve& curve, size_t columns);

}  // namespace lathe
