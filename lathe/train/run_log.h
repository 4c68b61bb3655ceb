#pragma once

#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "lathe/base/machine.h"
#include "lathe/tensor/arena.h"
#include "lathe/train/tensorboard.h"

namespace lathe {

/// One finished step, as logs tell it.
struct StepReport {
  int64_t step = 0;  ///< from 1
  double loss = 0, learning_rate = 0, gradient_norm = 0;
  double seconds = 0;  ///< of the step itself
  double tokens_per_second = 0;
  double flop_use = 0;   ///< of the machine's peak in registers (plan/ceilings.h); 0: unknown
  int64_t tokens = 0;    ///< trained on so far
  std::string left_out;  ///< why the update was left out; empty: it was not
};

struct EvaluationReport {
  int64_t step = 0;
  double loss = 0;           ///< nats a token
  double bits_per_byte = 0;  ///< 0: unknown
  int64_t tokens = 0;
  double seconds = 0;
};

/// Writes what happens in a run: RUN/log.jsonl, one object a line with an "event", and TensorBoard's event files. Lines
/// are complete at any time, so a killed run leaves a readable log.
class RunLog {
 public:
  /// Goes on after step `step`: lines about later steps are taken out first.
  RunLog(const std::string& directory, int64_t step, bool tensorboard);

  void start(int64_t step, int64_t parameters, int64_t memory, const BytesByPurpose& by_purpose);
  void step(const StepReport& report);
  void evaluation(const EvaluationReport& report);
  void sample(int64_t step, const std::string& prompt, const std::string& text);
  void saved(int64_t step, double seconds, int64_t bytes);
  void end(int64_t step, const std::string& why, double waited_seconds, double seconds);

 private:
  void write(const std::string& line);

  std::string path_;
  std::ofstream file_;
  std::unique_ptr<EventWriter> events_;
};

/// A log read back: for reports.
struct RunHistory {
  std::vector<StepReport> steps;
  std::vector<EvaluationReport> evaluations;
  struct Sample {
    int64_t step;
    std::string prompt, text;
  };
  std::vector<Sample> samples;
  std::vector<int64_t> saves;  ///< steps
  struct Start {
    int64_t step = 0;  ///< that it went on from
    int64_t time = 0;  ///< seconds since 1970; 0: unknown
    Machine machine;
  };
  std::vector<Start> starts;  ///< the first, and one for each time the run was resumed
  struct End {
    int64_t step = 0;
    std::string why;             ///< "finished", "interrupted"
    double waited_for_data = 0;  ///< seconds
  };
  std::vector<End> ends;
  bool ended = false;  ///< nothing was logged after the last end
  int64_t parameters = 0, memory = 0;
  BytesByPurpose by_purpose{};
};

/// Throws Error naming file and line where it is no log; a last line that was cut off is left out.
RunHistory read_history(const std::string& directory);

}  // namespace lathe
