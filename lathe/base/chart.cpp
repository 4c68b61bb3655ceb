#include "lathe/base/chart.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "lathe/base/error.h"
#include "lathe/base/html.h"
#include "lathe/base/numbers.h"

namespace lathe {
namespace {

constexpr int kColors = 6;
constexpr double kLeft = 60, kRight = 16, kBottom = 44;

std::string at(double coordinate) {
  std::string written = format_fixed(coordinate, 1);
  return written.ends_with(".0") ? written.substr(0, written.size() - 2) : written;
}

struct Range {
  double low = INFINITY, high = -INFINITY;
  void include(double value) {
    if (!std::isfinite(value)) return;
    low = std::min(low, value);
    high = std::max(high, value);
  }
  bool empty() const { return low > high; }
};

/// A faint curve's rare outliers do not squeeze the rest: its range is that of the middle 99 %.
void include_middle(const std::vector<double>& values, Range& range) {
  std::vector<double> finite;
  std::copy_if(values.begin(), values.end(), std::back_inserter(finite), [](double v) { return std::isfinite(v); });
  if (finite.empty()) return;
  std::sort(finite.begin(), finite.end());
  size_t out = finite.size() / 200;
  range.include(finite[out]);
  range.include(finite[finite.size() - 1 - out]);
}

Range x_range(const Chart& chart) {
  Range range;
  for (const Curve& curve : chart.curves)
    for (double x : curve.x) range.include(x);
  for (const ChartMark& mark : chart.marks) range.include(mark.x);
  if (range.low == range.high) range.low -= std::abs(range.low) > 0 ? std::abs(range.low) : 1;
  return range;
}

Range y_range(const Chart& chart) {
  Range range;
  for (const Curve& curve : chart.curves) {
    if (curve.look == Curve::Look::faint)
      include_middle(curve.y, range);
    else
      for (double y : curve.y) range.include(y);
  }
  if (range.empty()) return range;
  if (chart.from_zero) range.include(0);
  double margin = range.high > range.low ? 0.06 * (range.high - range.low) : std::max(std::abs(range.high), 1.0) / 10;
  range.high += margin;
  if (!chart.from_zero) range.low -= margin;
  return range;
}

/// Draws one chart; coordinates of the plot are those of its values.
class Drawing {
 public:
  explicit Drawing(const Chart& chart)
      : chart_(chart), x_(x_range(chart)), y_(y_range(chart)), top_(has_legend(chart) ? 54 : 38) {}

  std::string contents() {
    out_ += text("<text class=\"chart-title\" x=\"12\" y=\"22\">", html_text(chart_.title), "</text>\n");
    if (x_.empty() || y_.empty()) {
      out_ += text("<text class=\"chart-note\" x=\"", at(chart_.width / 2.0), "\" y=\"", at(chart_.height / 2.0),
                   "\" text-anchor=\"middle\">nothing logged yet</text>\n");
      return out_;
    }
    axes();
    legend();
    out_ += text("<svg x=\"", at(kLeft), "\" y=\"", at(top_), "\" width=\"", at(plot_width() + 6), "\" height=\"",
                 at(plot_height()), "\">\n");  // clips what lies outside
    for (const Curve& curve : chart_.curves) draw(curve);
    marks();
    out_ += "</svg>\n";
    return out_;
  }

 private:
  static bool has_legend(const Chart& chart) {
    return !chart.marks.empty() || std::any_of(chart.curves.begin(), chart.curves.end(),
                                               [](const Curve& curve) { return !curve.name.empty(); });
  }
  double plot_width() const { return chart_.width - kLeft - kRight; }
  double plot_height() const { return chart_.height - top_ - kBottom; }
  double x_at(double x) const { return (x - x_.low) / (x_.high - x_.low) * plot_width(); }
  double y_at(double y) const {
    double place = (y_.high - y) / (y_.high - y_.low) * plot_height();
    return std::clamp(place, -1000.0, 1000.0 + plot_height());
  }

  void axes() {
    double bottom = chart_.height - kBottom, right = chart_.width - kRight;
    for (double tick : ticks_between(y_.low, y_.high, int(plot_height() / 40))) {
      std::string y = at(top_ + y_at(tick));
      out_ += text("<line class=\"chart-grid\" x1=\"", at(kLeft), "\" x2=\"", at(right), "\" y1=\"", y, "\" y2=\"", y,
                   "\"/><text class=\"chart-tick\" x=\"", at(kLeft - 7), "\" y=\"", y,
                   "\" dy=\".35em\" text-anchor=\"end\">", html_text(chart_.y_text(tick)), "</text>\n");
    }
    for (double tick : ticks_between(x_.low, x_.high, int(plot_width() / 80))) {
      std::string x = at(kLeft + x_at(tick));
      out_ += text("<line class=\"chart-axis\" x1=\"", x, "\" x2=\"", x, "\" y1=\"", at(bottom), "\" y2=\"",
                   at(bottom + 5), "\"/><text class=\"chart-tick\" x=\"", x, "\" y=\"", at(bottom + 19),
                   "\" text-anchor=\"middle\">", html_text(chart_.x_text(tick)), "</text>\n");
    }
    out_ += text("<path class=\"chart-axis\" d=\"M", at(kLeft), ' ', at(top_), 'V', at(bottom), 'H', at(right),
                 "\"/><text class=\"chart-tick\" x=\"", at(right), "\" y=\"", at(bottom + 37),
                 "\" text-anchor=\"end\">", html_text(chart_.x_name), "</text>\n");
  }

  void legend() {
    double x = 12;
    auto entry = [&](const std::string& sign, const std::string& name) {
      out_ += text("<g transform=\"translate(", at(x), " 40)\">", sign,
                   "<text class=\"chart-tick\" x=\"22\" dy=\".35em\">", html_text(name), "</text></g>\n");
      x += 36 + 6.9 * double(name.size());
    };
    for (const Curve& curve : chart_.curves)
      if (!curve.name.empty()) entry(text("<path class=\"", style(curve), "\" d=\"M0 0H16\"/>"), curve.name);
    std::set<std::string> told;
    for (const ChartMark& mark : chart_.marks)
      if (told.insert(mark.name).second)
        entry(text("<path class=\"chart-mark color-", mark.color % kColors, "\" d=\"M4 5L8 -4L12 5Z\"/>"), mark.name);
  }

  static std::string style(const Curve& curve) {
    const char* look = curve.look == Curve::Look::faint ? "chart-faint" : "chart-line";
    return text(look, " color-", curve.color % kColors);
  }

  void draw(const Curve& whole) {
    Curve curve = reduced(whole, size_t(plot_width()));
    std::string path;
    bool pen_down = false;
    for (size_t i = 0; i < curve.x.size(); ++i) {
      bool shown = std::isfinite(curve.y[i]);
      if (shown) path += text(pen_down ? 'L' : 'M', at(x_at(curve.x[i])), ' ', at(y_at(curve.y[i])));
      pen_down = shown;
    }
    out_ += text("<path class=\"", style(curve), "\" d=\"", path, "\"/>\n");
    if (curve.look == Curve::Look::dots || curve.x.size() == 1) dots(curve);
  }

  void dots(const Curve& curve) {
    for (size_t i = 0; i < curve.x.size(); ++i)
      if (std::isfinite(curve.y[i]))
        out_ += text("<circle class=\"chart-dot color-", curve.color % kColors, "\" cx=\"", at(x_at(curve.x[i])),
                     "\" cy=\"", at(y_at(curve.y[i])), "\" r=\"3\"><title>", html_text(chart_.x_text(curve.x[i])), ": ",
                     format_fixed(curve.y[i], 4), "</title></circle>\n");
  }

  /// One a column and kind: thousands of checkpoints look like a row of them.
  void marks() {
    std::set<std::pair<std::string, int>> drawn;
    double bottom = plot_height();
    for (const ChartMark& mark : chart_.marks) {
      double x = x_at(mark.x);
      if (!drawn.insert({mark.name, int(x / 4)}).second) continue;
      out_ += text("<path class=\"chart-mark color-", mark.color % kColors, "\" d=\"M", at(x - 4), ' ', at(bottom - 1),
                   'L', at(x), ' ', at(bottom - 10), 'L', at(x + 4), ' ', at(bottom - 1), "Z\"><title>",
                   html_text(mark.title), "</title></path>\n");
    }
  }

  const Chart& chart_;
  Range x_, y_;
  double top_;
  std::string out_;
};

std::string element(const Chart& chart, const std::string& attributes, const std::string& before) {
  return text("<svg class=\"chart\" viewBox=\"0 0 ", chart.width, ' ', chart.height, "\" role=\"img\" aria-label=\"",
              html_text(chart.title), "\"", attributes, ">\n", before, Drawing(chart).contents(), "</svg>\n");
}

}  // namespace

std::string svg_element(const Chart& chart) { return element(chart, "", ""); }

std::string svg_file(const Chart& chart) {
  std::string attributes =
      text(" xmlns=\"http://www.w3.org/2000/svg\" width=\"", chart.width, "\" height=\"", chart.height, "\"");
  return element(
      chart, attributes,
      "<style>" + chart_style() + "</style>\n<rect class=\"chart-ground\" width=\"100%\" height=\"100%\"/>\n");
}

std::string chart_style() {
  return R"(
:root { --ground: #ffffff; --ink: #1d2430; --soft: #667085; --grid: #e6e9ef;
  --c0: #2563eb; --c1: #ea580c; --c2: #0d9488; --c3: #9333ea; --c4: #dc2626; --c5: #64748b; }
@media (prefers-color-scheme: dark) { :root { --ground: #161b22; --ink: #e6edf3; --soft: #9aa4b2; --grid: #2a313c;
  --c0: #6ea8fe; --c1: #fb923c; --c2: #2dd4bf; --c3: #c084fc; --c4: #f87171; --c5: #94a3b8; } }
.chart { font-family: system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
.chart-ground { fill: var(--ground); }
.chart-title { font-size: 15px; font-weight: 600; fill: var(--ink); }
.chart-tick, .chart-note { font-size: 12.5px; fill: var(--soft); }
.chart-grid { stroke: var(--grid); }
.chart-axis { stroke: var(--soft); fill: none; }
.chart-line { fill: none; stroke: var(--c); stroke-width: 2; stroke-linejoin: round; }
.chart-faint { fill: none; stroke: var(--c); stroke-width: 1; opacity: .3; }
.chart-dot, .chart-mark { fill: var(--c); }
.color-0 { --c: var(--c0); } .color-1 { --c: var(--c1); } .color-2 { --c: var(--c2); }
.color-3 { --c: var(--c3); } .color-4 { --c: var(--c4); } .color-5 { --c: var(--c5); }
)";
}

std::vector<double> ticks_between(double low, double high, int count) {
  double rough = (high - low) / std::max(count, 1), power = std::pow(10, std::floor(std::log10(rough)));
  double step = 10 * power;
  for (double round : {5.0, 2.0, 1.0})
    if (round * power >= rough) step = round * power;
  std::vector<double> ticks;
  double first = std::ceil(low / step) + 0.0;  // no -0
  for (double i = first; i * step <= high && ticks.size() < 100; ++i) ticks.push_back(i * step);
  return ticks;
}

std::vector<double> smoothed(const std::vector<double>& y, size_t reach) {
  std::vector<double> sums = {0}, counts = {0}, means;
  for (double value : y) {
    sums.push_back(sums.back() + (std::isfinite(value) ? value : 0));
    counts.push_back(counts.back() + std::isfinite(value));
  }
  for (size_t i = 0; i < y.size(); ++i) {
    size_t before = std::min(reach, i), after = std::min(before, y.size() - 1 - i);
    double count = counts[i + after + 1] - counts[i - before];
    means.push_back(count > 0 ? (sums[i + after + 1] - sums[i - before]) / count : NAN);
  }
  return means;
}

Curve reduced(const Curve& curve, size_t columns) {
  if (curve.x.size() <= 2 * columns) return curve;
  Curve fewer = curve;
  fewer.x.clear();
  fewer.y.clear();
  for (size_t column = 0; column < columns; ++column) {
    size_t first = column * curve.x.size() / columns, end = (column + 1) * curve.x.size() / columns;
    size_t least = first, largest = first;
    for (size_t i = first; i < end; ++i) {
      if (!std::isfinite(curve.y[i])) continue;
      if (!(curve.y[least] <= curve.y[i])) least = i;  // also where y[least] is no number
      if (!(curve.y[largest] >= curve.y[i])) largest = i;
    }
    for (size_t i : {std::min(least, largest), std::max(least, largest)}) {
      fewer.x.push_back(curve.x[i]);
      fewer.y.push_back(curve.y[i]);
    }
  }
  return fewer;
}

}  // namespace lathe
