#include "lathe/train/run_log.h"

#include <array>
#include <cmath>
#include <ctime>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "lathe/base/durable_file.h"
#include "lathe/base/error.h"
#include "lathe/base/line_reader.h"
#include "lathe/base/utf8.h"

namespace lathe {
namespace {

using nlohmann::json;

constexpr const char* kFile = "/log.jsonl";

/// JSON has no word for what is not finite.
json number(double value) { return std::isfinite(value) ? json(value) : json(nullptr); }
double number_in(const json& line, const char* name) {
  auto found = line.find(name);
  return found == line.end() || found->is_null() ? NAN : found->get<double>();
}

/// Takes out what was logged after `step`: the run that wrote it was killed before it could save.
void forget_after(const std::string& path, int64_t step) {
  if (!std::filesystem::exists(path)) return;
  std::string kept;
  LineReader lines(path);
  for (std::string_view line; lines.next(line);) {
    json object = json::parse(line, nullptr, false);
    if (object.is_object() && object.value("step", int64_t{0}) <= step) kept.append(line) += '\n';
  }
  replace_file(path, kept);
}

}  // namespace

RunLog::RunLog(const std::string& directory, int64_t step, bool tensorboard) : path_(directory + kFile) {
  forget_after(path_, step);
  file_.open(path_, std::ios::app);
  require(file_.good(), "cannot write ", path_);
  if (tensorboard) events_ = std::make_unique<EventWriter>(directory, step + 1);
}

void RunLog::write(const std::string& line) { append_to(file_, path_, line + "\n"); }

void RunLog::start(int64_t step, int64_t parameters, int64_t memory, const BytesByPurpose& by_purpose) {
  json purposes = json::object();
  for (size_t i = 0; i < kPurposes; ++i) purposes[name_of(Purpose(i))] = by_purpose[i];
  Machine machine = this_machine();
  write(json{{"event", "start"},
             {"step", step},
             {"time", std::time(nullptr)},
             {"parameters", parameters},
             {"memory", memory},
             {"by_purpose", purposes},
             {"machine",
              {{"processor", lossy_utf8(machine.processor)},
               {"threads", machine.threads},
               {"instruction_set", machine.instruction_set},
               {"memory", machine.memory},
               {"program", machine.program}}}}
            .dump());
}

void RunLog::step(const StepReport& r) {
  json line = {{"event", "step"},
               {"step", r.step},
               {"loss", number(r.loss)},
               {"learning_rate", r.learning_rate},
               {"gradient_norm", number(r.gradient_norm)},
               {"seconds", r.seconds},
               {"tokens_per_second", r.tokens_per_second},
               {"flop_use", r.flop_use},
               {"tokens", r.tokens}};
  if (!r.left_out.empty()) line["left_out"] = r.left_out;
  write(line.dump());
  if (!events_) return;
  const std::array<std::pair<std::string_view, double>, 5> values = {{{"train/loss", r.loss},
                                                                      {"train/learning_rate", r.learning_rate},
                                                                      {"train/gradient_norm", r.gradient_norm},
                                                                      {"speed/tokens_per_second", r.tokens_per_second},
                                                                      {"speed/flop_use", r.flop_use}}};
  events_->scalars(r.step, values);
}

void RunLog::evaluation(const EvaluationReport& r) {
  write(json{{"event", "evaluation"},
             {"step", r.step},
             {"loss", number(r.loss)},
             {"bits_per_byte", number(r.bits_per_byte)},
             {"tokens", r.tokens},
             {"seconds", r.seconds}}
            .dump());
  if (!events_) return;
  const std::array<std::pair<std::string_view, double>, 2> values = {
      {{"held_out/loss", r.loss}, {"held_out/bits_per_byte", r.bits_per_byte}}};
  events_->scalars(r.step, values);
}

void RunLog::sample(int64_t step, const std::string& prompt, const std::string& written) {
  write(
      json{{"event", "sample"}, {"step", step}, {"prompt", lossy_utf8(prompt)}, {"text", lossy_utf8(written)}}.dump());
}

void RunLog::saved(int64_t step, double seconds, int64_t bytes) {
  write(json{{"event", "save"}, {"step", step}, {"seconds", seconds}, {"bytes", bytes}}.dump());
}

void RunLog::end(int64_t step, const std::string& why, double waited_seconds, double seconds) {
  write(json{{"event", "end"}, {"step", step}, {"why", why}, {"waited_for_data", waited_seconds}, {"seconds", seconds}}
            .dump());
}

namespace {

void read_start(const json& line, int64_t step, RunHistory& history) {
  history.parameters = line.at("parameters").get<int64_t>();
  history.memory = line.at("memory").get<int64_t>();
  for (size_t i = 0; i < kPurposes; ++i)
    history.by_purpose[i] = line.at("by_purpose").at(name_of(Purpose(i))).get<int64_t>();
  history.starts.push_back({step, line.value("time", int64_t{0}), {}});
  if (!line.contains("machine")) return;
  const json& machine = line.at("machine");
  history.starts.back().machine = {machine.at("processor").get<std::string>(), machine.at("threads").get<int>(),
                                   machine.at("instruction_set").get<std::string>(),
                                   machine.at("memory").get<int64_t>(), machine.at("program").get<std::string>()};
}

void read_line(const json& line, RunHistory& history) {
  const std::string event = line.at("event").get<std::string>();
  int64_t step = line.at("step").get<int64_t>();
  history.ended = event == "end";
  if (event == "step")
    history.steps.push_back({step, number_in(line, "loss"), number_in(line, "learning_rate"),
                             number_in(line, "gradient_norm"), number_in(line, "seconds"),
                             number_in(line, "tokens_per_second"), number_in(line, "flop_use"),
                             line.at("tokens").get<int64_t>(), line.value("left_out", std::string())});
  if (event == "evaluation")
    history.evaluations.push_back({step, number_in(line, "loss"), number_in(line, "bits_per_byte"),
                                   line.at("tokens").get<int64_t>(), number_in(line, "seconds")});
  if (event == "sample")
    history.samples.push_back({step, line.at("prompt").get<std::string>(), line.at("text").get<std::string>()});
  if (event == "save") history.saves.push_back(step);
  if (event == "end")
    history.ends.push_back({step, line.at("why").get<std::string>(), number_in(line, "waited_for_data")});
  if (event == "start") read_start(line, step, history);
}

}  // namespace

RunHistory read_history(const std::string& directory) {
  std::string path = directory + kFile;
  require(std::filesystem::exists(path), path, " is missing: ", directory, " is no directory of a run");
  RunHistory history;
  LineReader lines(path);
  std::string problem;
  for (std::string_view line; lines.next(line);) {
    require(problem.empty(), problem);
    try {
      read_line(json::parse(line), history);
    } catch (const json::exception& error) {
      problem = text(path, " line ", lines.number(), ": ", error.what());  // fine if it is the last
    }
  }
  return history;
}

}  // namespace lathe
