#include "lathe/train/report_charts.h"

#include <algorithm>
#include <cmath>

#include "lathe/base/error.h"
#include "lathe/base/numbers.h"

namespace lathe {
namespace {

std::vector<double> tokens_of(const RunHistory& history) {
  std::vector<double> x;
  for (const StepReport& step : history.steps) x.push_back(double(step.tokens));
  return x;
}

std::vector<double> values_of(const RunHistory& history, double StepReport::*field) {
  std::vector<double> y;
  for (const StepReport& step : history.steps) y.push_back(step.*field);
  return y;
}

/// "0.0005", "3.5", "250k".
std::string tick_text(double value) {
  if (std::abs(value) < 1000) return format_float(float(value));
  std::string written = format_short_count(value);
  size_t point = written.find('.');
  if (point == std::string::npos) return written;
  size_t end = written.find_last_not_of('0', written.size() - 2);
  return written.substr(0, end == point ? point : end + 1) + written.back();
}

/// Tokens trained on after `step`, as the log tells it; steps are rising.
double tokens_at(const RunHistory& history, int64_t step) {
  auto found = std::lower_bound(history.steps.begin(), history.steps.end(), step,
                                [](const StepReport& report, int64_t wanted) { return report.step < wanted; });
  if (found == history.steps.end()) return history.steps.empty() ? 0 : double(history.steps.back().tokens);
  return double(found->tokens) * double(step) / double(found->step);
}

std::vector<ChartMark> marks_of(const RunHistory& history) {
  std::vector<ChartMark> marks;
  for (int64_t step : history.saves)
    marks.push_back({tokens_at(history, step), 5, "saved", text("checkpoint of step ", step)});
  for (const StepReport& step : history.steps)
    if (!step.left_out.empty())
      marks.push_back({double(step.tokens), 4, "left out", text("step ", step.step, ": ", step.left_out)});
  for (const RunHistory::Start& start : history.starts)
    if (start.step > 0)
      marks.push_back({tokens_at(history, start.step), 3, "resumed", text("resumed after step ", start.step)});
  return marks;
}

Chart chart_of(const RunHistory& history, const std::string& title, double StepReport::*field, int color) {
  Chart chart;
  chart.title = title;
  chart.x_name = "tokens";
  chart.x_text = chart.y_text = tick_text;
  Curve each{.look = Curve::Look::faint, .color = color, .x = tokens_of(history), .y = values_of(history, field)};
  Curve mean{.color = color, .x = each.x, .y = smoothed(each.y, each.y.size() / 50)};
  chart.curves = {std::move(each), std::move(mean)};
  return chart;
}

}  // namespace

Chart loss_chart(const RunRecord& run) {
  const RunHistory& history = run.history;
  Chart chart = chart_of(history, "Loss, nats a token", &StepReport::loss, 0);
  chart.width = 980;
  chart.height = 420;
  chart.curves[1].name = "training";
  Curve held_out{.name = "held out", .look = Curve::Look::dots, .color = 1};
  for (const EvaluationReport& evaluation : history.evaluations) {
    held_out.x.push_back(tokens_at(history, evaluation.step));
    held_out.y.push_back(evaluation.loss);
  }
  if (!held_out.x.empty()) chart.curves.push_back(std::move(held_out));
  chart.marks = marks_of(history);
  return chart;
}

std::vector<Chart> step_charts(const RunHistory& history) {
  std::vector<Chart> charts = {chart_of(history, "Learning rate", &StepReport::learning_rate, 2),
                               chart_of(history, "Gradient norm", &StepReport::gradient_norm, 3),
                               chart_of(history, "Speed, tokens a second", &StepReport::tokens_per_second, 0),
                               chart_of(history, "Model FLOP use, % of the machine's rate", &StepReport::flop_use, 1)};
  charts[0].curves = {charts[0].curves[0]};  // exact as it is
  charts[0].curves[0].look = Curve::Look::line;
  for (Curve& curve : charts[3].curves)
    for (double& use : curve.y) use *= 100;
  if (std::none_of(history.steps.begin(), history.steps.end(),
                   [](const StepReport& step) { return step.flop_use > 0; }))
    charts.pop_back();
  for (Chart& chart : charts) chart.from_zero = true;
  return charts;
}

}  // namespace lathe
