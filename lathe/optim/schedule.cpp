#include "lathe/optim/schedule.h"

#include <algorithm>
#include <cmath>

namespace lathe {
namespace {

/// How far step `step` is from `begin` (0) to the run's last step (1).
double progress(int64_t step, int64_t begin, int64_t steps) {
  return std::clamp(double(step - begin) / double(std::max<int64_t>(steps - 1 - begin, 1)), 0.0, 1.0);
}

}  // namespace

double learning_rate_factor(const ScheduleSettings& s, int64_t step, int64_t steps) {
  using Curve = ScheduleSettings::Curve;
  if (step < s.warmup_steps) return double(step + 1) / double(s.warmup_steps);
  double left = 1;
  if (s.curve == Curve::cosine) left = 0.5 + 0.5 * std::cos(M_PI * progress(step, s.warmup_steps, steps));
  if (s.curve == Curve::linear) left = 1 - progress(step, s.warmup_steps, steps);
  if (s.curve == Curve::wsd) {
    int64_t cooldown = s.cooldown_steps > 0 ? s.cooldown_steps : steps / 5;
    left = 1 - std::sqrt(progress(step, std::max(s.warmup_steps, steps - cooldown), steps));
  }
  double final = s.curve == Curve::constant ? 1 : s.final_fraction;
  return final + (1 - final) * left;
}

}  // namespace lathe
