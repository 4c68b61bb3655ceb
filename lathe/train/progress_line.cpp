#include "lathe/train/progress_line.h"

#include "lathe/base/log.h"
#include "lathe/base/numbers.h"

namespace lathe {
namespace {

ProgressOptions options(const JobSettings& job, int64_t first_step) {
  return {.what = "training",
          .unit = "tokens",
          .total = job.training.steps * job.tokens_per_step(),
          .first = first_step * job.tokens_per_step(),
          .plain_seconds = 1e9};  // off a terminal, the lines below suffice
}

}  // namespace

ProgressLine::ProgressLine(const JobSettings& job, int64_t first_step, int64_t memory)
    : steps_(job.training.steps),
      every_(job.log.every),
      first_(first_step),
      memory_(memory),
      progress_(options(job, first_step)) {}

void ProgressLine::step(const StepReport& r) {
  tokens_ += r.tokens_per_second * r.seconds;
  seconds_ += r.seconds;
  flop_use_ += r.flop_use * r.seconds;
  if (progress_.due()) progress_.update(r.tokens, text("loss ", format_fixed(r.loss, 3)));
  if (r.step % every_ != 0 && r.step != first_ + 1 && r.step != steps_) return;
  double left = double(steps_ - r.step) * seconds_ / tokens_ * r.tokens_per_second * r.seconds;
  log_info("step ", r.step, "/", steps_, "  loss ", format_fixed(r.loss, 4), "  lr ",
           format_float(float(r.learning_rate)), "  norm ", format_fixed(r.gradient_norm, 2), "  ",
           format_short_count(tokens_ / seconds_), " tokens/s  ", format_bytes(memory_), "  FLOP use ",
           format_fixed(100 * flop_use_ / seconds_, 0), "%  ", format_duration(left), " left");
  tokens_ = seconds_ = flop_use_ = 0;
}

void ProgressLine::evaluation(const EvaluationReport& r) {
  log_info("step ", r.step, "  held-out loss ", format_fixed(r.loss, 4),
           r.bits_per_byte > 0 ? text(", ", format_fixed(r.bits_per_byte, 3), " bits per byte") : std::string(), " on ",
           format_count(r.tokens), " tokens in ", format_duration(r.seconds));
}

void ProgressLine::sample(int64_t step, const std::string& prompt, const std::string& written) {
  log_info("step ", step, "  sample: ", prompt, written);
}

}  // namespace lathe
