#pragma once

#include <vector>

#include "lathe/train/report.h"

namespace lathe {

/// Learning rate, gradient norm, speed and, where the machine's rate is known, FLOP use over the tokens trained on.
std::vector<Chart> step_charts(const RunHistory& history);

}  // namespace lathe
