#pragma once

#include <cstdint>

namespace lathe {

/// How the learning rate moves over a run: it rises in a line over the first steps, then falls.
struct ScheduleSettings {
  enum class Curve : uint8_t {
    cosine,    ///< half a cosine wave down to the end (Loshchilov & Hutter 2017)
    linear,    ///< a line down to the end
    constant,  ///< stays at the peak
    wsd,       ///< stays, then cools down as 1 - sqrt (Hägele et al. 2024)
  };
  Curve curve = Curve::cosine;
  int64_t warmup_steps = 0;
  int64_t cooldown_steps = 0;   ///< wsd: 0 means a fifth of the run
  double final_fraction = 0.1;  ///< of the peak, reached with the last step; not for `constant`
};

/// What step `step` (from 0) of a run of `steps` multiplies the peak learning rate by.
double learning_rate_factor(const ScheduleSettings& schedule, int64_t step, int64_t steps);

}  // namespace lathe
