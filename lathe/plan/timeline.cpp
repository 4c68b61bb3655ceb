#include "lathe/plan/timeline.h"

#include <algorithm>
#include <cmath>
#include <iomanip>
#include <map>
#include <sstream>

#include "lathe/base/error.h"
#include "lathe/base/numbers.h"

namespace lathe {
namespace {

struct Change {
  int64_t call;
  int64_t bytes;  ///< below 0: released
  Purpose purpose;
};

std::vector<Change> changes_of(const Rehearsal& rehearsal) {
  std::vector<Change> changes;
  changes.reserve(2 * rehearsal.lifetimes.size());
  for (const Lifetime& life : rehearsal.lifetimes) {
    changes.push_back({life.born, life.bytes, life.purpose});
    changes.push_back({life.freed, -life.bytes, life.purpose});
  }
  std::sort(changes.begin(), changes.end(), [](const Change& a, const Change& b) { return a.call < b.call; });
  return changes;
}

struct Stretch {
  std::string phase;
  int64_t first, end;
};

/// The phases from the last one that is named as the first named one is.
std::vector<Stretch> last_round(const Rehearsal& rehearsal) {
  const std::vector<RehearsedPhase>& phases = rehearsal.phases;
  size_t from = phases.size() > 1 ? 1 : 0;
  for (size_t i = from; i < phases.size(); ++i)
    if (phases[i].name == phases[from].name) from = i;
  std::vector<Stretch> stretches;
  int64_t end = 2 * int64_t(rehearsal.lifetimes.size());
  for (size_t i = from; i < phases.size(); ++i)
    stretches.push_back({phases[i].name, phases[i].first_call, i + 1 < phases.size() ? phases[i + 1].first_call : end});
  return stretches;
}

int64_t sum_of(const BytesByPurpose& bytes) {
  int64_t total = 0;
  for (int64_t part : bytes) total += part;
  return total;
}

/// Follows what is live from change to change.
class Cursor {
 public:
  Cursor(const std::vector<Change>& changes, const BytesByPurpose& kept) : changes_(changes), live_(kept) {}

  /// The fullest moment up to, but without, call `end`; what is live now counts too.
  TimelineSlice advance(int64_t end, const std::string& phase) {
    TimelineSlice fullest{phase, live_, sum_of(live_)};
    for (; next_ < changes_.size() && changes_[next_].call < end; ++next_) {
      live_[size_t(changes_[next_].purpose)] += changes_[next_].bytes;
      if (int64_t total = sum_of(live_); total > fullest.total) fullest = {phase, live_, total};
    }
    return fullest;
  }

 private:
  const std::vector<Change>& changes_;
  BytesByPurpose live_;
  size_t next_ = 0;
};

constexpr char kLetters[kPurposes + 1] = "wgoaks";  // workspace is scratch: "w" is taken

std::string legend(const BytesByPurpose& seen) {
  std::string line;
  for (size_t i = 0; i < kPurposes; ++i)
    if (seen[i]) line += text(line.empty() ? "" : ", ", kLetters[i], " ", name_of(Purpose(i)));
  return line;
}

}  // namespace

std::vector<TimelineSlice> timeline(const Rehearsal& rehearsal, const BytesByPurpose& kept, int count) {
  std::vector<Change> changes = changes_of(rehearsal);
  std::vector<Stretch> stretches = last_round(rehearsal);
  Cursor cursor(changes, kept);
  std::vector<TimelineSlice> slices;
  cursor.advance(stretches.front().first, "");
  int64_t calls = std::max<int64_t>(stretches.back().end - stretches.front().first, 1);
  for (const Stretch& stretch : stretches) {
    int64_t length = stretch.end - stretch.first;
    int64_t parts = std::clamp<int64_t>((count * length + calls / 2) / calls, 1, std::max<int64_t>(length, 1));
    for (int64_t i = 1; i <= parts; ++i)
      slices.push_back(cursor.advance(stretch.first + length * i / parts, stretch.phase));
  }
  return slices;
}

std::string draw_timeline(const std::vector<TimelineSlice>& slices, int width) {
  int64_t most = 1;
  BytesByPurpose seen{};
  for (const TimelineSlice& slice : slices) {
    most = std::max(most, slice.total);
    for (size_t i = 0; i < kPurposes; ++i) seen[i] += slice.live[i];
  }
  std::ostringstream out;
  out << std::string(24, ' ') << legend(seen) << '\n';
  std::string previous;
  for (const TimelineSlice& slice : slices) {
    std::string bar;
    int64_t reached = 0;
    for (size_t purpose = 0; purpose < kPurposes; ++purpose) {
      reached += slice.live[purpose];
      bar.resize(size_t(std::lround(double(reached) / double(most) * width)), kLetters[purpose]);
    }
    out << "  " << std::left << std::setw(9) << (slice.phase == previous ? "" : slice.phase) << std::right
        << std::setw(11) << format_bytes(slice.total) << "  " << bar << '\n';
    previous = slice.phase;
  }
  return out.str();
}

std::vector<PeakPiece> pieces_at_peak(const Rehearsal& rehearsal) {
  int64_t live = 0, most = 0, at = 0;
  for (const Change& change : changes_of(rehearsal))
    if (live += change.bytes; live > most) most = live, at = change.call;
  std::map<std::pair<Purpose, int64_t>, int64_t> counts;
  for (const Lifetime& life : rehearsal.lifetimes)
    if (life.born <= at && at < life.freed) ++counts[{life.purpose, life.bytes}];
  std::vector<PeakPiece> pieces;
  for (auto& [key, count] : counts) pieces.push_back({key.first, key.second, count});
  std::sort(pieces.begin(), pieces.end(),
            [](const PeakPiece& a, const PeakPiece& b) { return a.bytes * a.count > b.bytes * b.count; });
  return pieces;
}

}  // namespace lathe
