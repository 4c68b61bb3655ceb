#pragma once

#include <string>
#include <vector>

#include "lathe/tensor/rehearse.h"

namespace lathe {

/// The fullest moment of a stretch of an episode.
struct TimelineSlice {
  std::string phase;
  BytesByPurpose live{};
  int64_t total = 0;
};

/// The last micro-batch of an episode and what follows it, in about `slices` slices of as many allocations and releases
/// each; every phase has one at least. `kept` is what was live before the episode.
std::vector<TimelineSlice> timeline(const Rehearsal& rehearsal, const BytesByPurpose& kept, int slices);

/// One line a slice: phase, bytes, and a bar with a letter for each purpose, which a line above explains.
std::string draw_timeline(const std::vector<TimelineSlice>& slices, int width = 48);

/// What is live at the episode's peak besides what was there before: allocations of one purpose and size together,
/// the most bytes first.
struct PeakPiece {
  Purpose purpose;
  int64_t bytes = 0;  ///< of each
  int64_t count = 0;
};
std::vector<PeakPiece> pieces_at_peak(const Rehearsal& rehearsal);

}  // namespace lathe
