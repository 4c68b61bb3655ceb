#include "lathe/train/report.h"

#include <sys/stat.h>
#include <algorithm>
#include <cmath>
#include <ctime>
#include <filesystem>

#include "lathe/base/html.h"
#include "lathe/base/mapped_file.h"
#include "lathe/base/numbers.h"
#include "lathe/base/utf8.h"
#include "lathe/train/report_charts.h"
#include "lathe/train/training_run.h"

namespace lathe {
namespace {

constexpr size_t kSampleSteps = 24, kSampleBytes = 4000, kEvents = 200, kJobBytes = 100'000;

constexpr const char* kPageStyle = R"(
:root { color-scheme: light dark; --page: #f4f6f9; }
@media (prefers-color-scheme: dark) { :root { --page: #0d1117; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink); line-height: 1.5;
  font-family: system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
main { max-width: 1060px; margin: 0 auto; padding: 20px 16px 48px; }
h1 { font-size: 1.6rem; margin: 0; overflow-wrap: anywhere; }
h2 { font-size: 1.15rem; margin: 28px 0 10px; }
.soft { color: var(--soft); }
.card { background: var(--ground); border: 1px solid var(--grid); border-radius: 10px; padding: 12px; min-width: 0; }
.figures { display: grid; gap: 10px; grid-template-columns: repeat(auto-fill, minmax(180px, 1fr)); margin: 16px 0; }
.figures b { display: block; font-size: 1.25rem; font-weight: 650; overflow-wrap: anywhere; }
.figures span { color: var(--soft); font-size: .85rem; }
.charts { display: grid; gap: 12px; grid-template-columns: repeat(auto-fit, minmax(min(100%, 420px), 1fr)); margin-top: 12px; }
.chart { display: block; width: 100%; height: auto; }
.narrow { display: none; }
@media (max-width: 640px) { .wide { display: none; } .narrow { display: block; } }
table { border-collapse: collapse; width: 100%; font-size: .92rem; }
th, td { text-align: left; padding: 5px 10px 5px 0; border-bottom: 1px solid var(--grid); vertical-align: top; }
th { color: var(--soft); font-weight: 500; }
td.number { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
.bar { height: 12px; margin-top: 5px; border-radius: 3px; background: var(--c); min-width: 2px; }
pre { margin: 0; white-space: pre-wrap; overflow-wrap: anywhere; font-size: .85rem;
  font-family: ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace; }
.sample { margin-bottom: 10px; }
.prompt { background: var(--grid); border-radius: 3px; }
summary { cursor: pointer; }
)";

std::string date_text(std::time_t time) {
  std::tm parts{};
  gmtime_r(&time, &parts);
  char written[64];
  return {written, std::strftime(written, sizeof written, "%Y-%m-%d %H:%M UTC", &parts)};
}

std::string state_of(const RunRecord& run) {
  const RunHistory& history = run.history;
  int64_t step = history.steps.empty() ? 0 : history.steps.back().step;
  std::string reached = text("step ", format_count(step), run.steps > 0 ? " of " + format_count(run.steps) : "");
  if (history.ended) return text(history.ends.back().why, " at ", reached, ", ", run.last_change);
  std::string trouble = history.steps.empty() ? "" : history.steps.back().left_out;
  return text("not ended: ", reached, trouble.empty() ? "" : ", where ", trouble, "; last entry ", run.last_change);
}

void figure(std::string& out, const std::string& value, const std::string& what) {
  out += text("<div class=\"card\"><b>", html_text(value), "</b><span>", html_text(what), "</span></div>\n");
}

/// The numbers that matter most.
std::string figures(const RunRecord& run) {
  const RunHistory& history = run.history;
  std::string out = "<div class=\"figures\">\n";
  double seconds = 0, tokens = 0;
  for (const StepReport& step : history.steps) {
    seconds += step.seconds;
    tokens += step.tokens_per_second * step.seconds;
  }
  if (!history.steps.empty()) {
    std::vector<double> losses;
    for (const StepReport& step : history.steps) losses.push_back(step.loss);
    figure(out, format_fixed(smoothed(losses, 19).back(), 3), "loss, last 20 steps");
  }
  if (!history.evaluations.empty()) {
    const EvaluationReport& last = history.evaluations.back();
    figure(out, format_fixed(last.loss, 3), "held-out loss");
    figure(out, format_fixed(std::exp(last.loss), 2), "held-out perplexity");
    if (last.bits_per_byte > 0) figure(out, format_fixed(last.bits_per_byte, 3), "bits per byte, held out");
  }
  if (!history.steps.empty()) {
    figure(out, format_short_count(double(history.steps.back().tokens)), "tokens trained on");
    figure(out, format_short_count(tokens / seconds), "tokens a second");
    figure(out, format_duration(seconds), "in training steps");
  }
  figure(out, format_short_count(double(history.parameters)), "parameters");
  figure(out, format_bytes(history.memory), "memory");
  return out + "</div>\n";
}

std::string charts(const RunRecord& run) {
  Chart loss = loss_chart(run);
  std::string out = "<div class=\"card wide\">" + svg_element(loss) + "</div>\n";
  loss.width = 480;
  loss.height = 360;
  out += "<div class=\"card narrow\">" + svg_element(loss) + "</div>\n<div class=\"charts\">\n";
  for (const Chart& chart : step_charts(run.history)) out += "<div class=\"card\">" + svg_element(chart) + "</div>\n";
  return out + "</div>\n";
}

std::string memory_table(const RunHistory& history) {
  std::string out = "<h2>Memory at the peak, by purpose</h2>\n<div class=\"card\"><table>\n";
  int64_t sum = 0, most = 1;
  for (int64_t bytes : history.by_purpose) {
    sum += bytes;
    most = std::max(most, bytes);
  }
  for (size_t i = 0; i < kPurposes; ++i)
    if (int64_t bytes = history.by_purpose[i]; bytes > 0)
      out += text("<tr><th>", name_of(Purpose(i)), "</th><td class=\"number\">", format_bytes(bytes),
                  "</td><td style=\"width:60%\"><div class=\"bar color-", i,
                  "\" style=\"width:", format_fixed(100.0 * double(bytes) / double(most), 1), "%\"></div></td></tr>\n");
  return out + text("<tr><th>all</th><td class=\"number\">", format_bytes(sum),
                    "</td><td class=\"soft\">planned: ", format_bytes(history.memory), "</td></tr>\n</table></div>\n");
}

struct Event {
  int64_t step;
  std::string what;
};

std::vector<Event> events_of(const RunRecord& run) {
  const RunHistory& history = run.history;
  std::vector<Event> events;
  for (const StepReport& step : history.steps)
    if (!step.left_out.empty()) events.push_back({step.step, "update left out: " + step.left_out});
  for (const EvaluationReport& e : history.evaluations)
    events.push_back(
        {e.step, text("held-out loss ", format_fixed(e.loss, 4),
                      e.bits_per_byte > 0 ? ", " + format_fixed(e.bits_per_byte, 4) + " bits per byte" : "", " on ",
                      format_count(e.tokens), " tokens in ", format_duration(e.seconds))});
  for (int64_t step : history.saves) events.push_back({step, "checkpoint saved"});
  for (const RunHistory::End& end : history.ends)
    events.push_back({end.step, text(end.why, "; waited ", format_duration(end.waited_for_data), " for data")});
  for (const RunHistory::Start& start : history.starts) {
    std::string when = start.time > 0 ? ", " + date_text(start.time) : "";
    events.push_back({start.step, (start.step > 0 ? "resumed" : "started") + when});
  }
  std::stable_sort(events.begin(), events.end(), [](const Event& a, const Event& b) { return a.step < b.step; });
  return events;
}

std::string event_table(const RunRecord& run) {
  std::vector<Event> events = events_of(run);
  std::string out = "<h2>Events</h2>\n<div class=\"card\"><table>\n";
  size_t first = events.size() - std::min(events.size(), kEvents);
  if (first > 0) out += text("<tr><td></td><td class=\"soft\">", format_count(int64_t(first)), " earlier</td></tr>\n");
  for (size_t i = first; i < events.size(); ++i)
    out += text("<tr><th>step ", format_count(events[i].step), "</th><td>", html_text(events[i].what), "</td></tr>\n");
  return out + "</table></div>\n";
}

std::string shortened(const std::string& written) {
  if (written.size() <= kSampleBytes) return html_text(written);
  std::string_view shown = std::string_view(written).substr(0, kSampleBytes);
  shown = shown.substr(0, utf8_complete_prefix(shown));
  return text(html_text(shown), " <span class=\"soft\">(", format_count(int64_t(written.size() - shown.size())),
              " more bytes)</span>");
}

/// Of many steps with samples, some evenly chosen, the first and the last among them.
std::vector<int64_t> sample_steps(const RunHistory& history) {
  std::vector<int64_t> all, chosen;
  for (const RunHistory::Sample& sample : history.samples)
    if (all.empty() || all.back() != sample.step) all.push_back(sample.step);
  size_t count = std::min(all.size(), kSampleSteps);
  for (size_t i = 0; i < count; ++i) chosen.push_back(all[count > 1 ? i * (all.size() - 1) / (count - 1) : 0]);
  return chosen;
}

std::string sample_list(const RunHistory& history) {
  if (history.samples.empty()) return "";
  std::vector<int64_t> steps = sample_steps(history);
  std::string out = "<h2>What the model wrote</h2>\n", all;
  int64_t shown = 0;
  for (auto sample = history.samples.rbegin(); sample != history.samples.rend(); ++sample) {
    if (!std::binary_search(steps.begin(), steps.end(), sample->step) || shown == 2 * int64_t(kSampleSteps)) continue;
    ++shown;
    all += text("<div class=\"card sample\"><span class=\"soft\">step ", format_count(sample->step),
                "</span><pre><span class=\"prompt\">", shortened(sample->prompt), "</span>", shortened(sample->text),
                "</pre></div>\n");
  }
  if (shown < int64_t(history.samples.size()))
    out += text("<p class=\"soft\">", shown, " of ", format_count(int64_t(history.samples.size())),
                " samples, newest first</p>\n");
  return out + all;
}

std::string machine_table(const RunHistory& history) {
  if (history.starts.empty() || history.starts.back().machine.program.empty()) return "";
  const Machine& machine = history.starts.back().machine;
  const std::pair<const char*, std::string> rows[] = {{"processor", machine.processor},
                                                      {"threads", std::to_string(machine.threads)},
                                                      {"kernels", machine.instruction_set},
                                                      {"memory to be had", format_bytes(machine.memory)},
                                                      {"program", machine.program}};
  std::string out = "<h2>Machine</h2>\n<div class=\"card\"><table>\n";
  for (const auto& [name, value] : rows) out += text("<tr><th>", name, "</th><td>", html_text(value), "</td></tr>\n");
  return out + "</table></div>\n";
}

std::string job_text(const RunRecord& run) {
  if (run.job.empty()) return "";
  return text("<h2>Job</h2>\n<details class=\"card\"><summary>all settings, as resolved</summary><pre>",
              html_text(run.job.substr(0, kJobBytes)), "</pre></details>\n");
}

/// A report of a log alone, without its job file, tells less.
void read_job_of(const std::string& directory, RunRecord& run) {
  std::string path = directory + "/job.toml";
  if (!std::filesystem::exists(path)) return;
  run.job = MappedFile(path).view();
  run.steps = read_run_job(directory).training.steps;
}

}  // namespace

RunRecord read_run(const std::string& directory) {
  RunRecord run;
  run.history = read_history(directory);
  run.name = std::filesystem::absolute(directory + "/.").lexically_normal().parent_path().filename().string();
  read_job_of(directory, run);
  struct stat facts {};
  if (stat((directory + "/log.jsonl").c_str(), &facts) == 0) run.last_change = date_text(facts.st_mtime);
  return run;
}

std::string report_page(const RunRecord& run) {
  std::string name = html_text(run.name);
  return text(
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>",
      name, "</title>\n<style>", chart_style(), kPageStyle, "</style>\n</head>\n<body>\n<main>\n<h1>", name,
      "</h1>\n<div class=\"soft\">", html_text(state_of(run)), "</div>\n", figures(run), charts(run),
      sample_list(run.history), memory_table(run.history), event_table(run), machine_table(run.history), job_text(run),
      "</main>\n</body>\n</html>\n");
}

}  // namespace lathe
