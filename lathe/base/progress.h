#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "lathe/base/console.h"

namespace lathe {

/// What a progress display counts.
struct ProgressOptions {
  std::string what;             // "reading corpus"
  std::string unit;             // "tokens": a rate is shown with it; "bytes" are written as such
  int64_t total = 0;            // 0 when unknown: neither share nor time left then
  int64_t first = 0;            // done before the start, after a resume: counts for the share, not for the rate
  double redraw_seconds = 0.1;  // at most that often on a terminal
  double plain_seconds = 10;    // and a plain line that often elsewhere
  Console* console = nullptr;   // standard error unless given
};

/// One line that shows how far a long task is: on a terminal it is redrawn in place, elsewhere a line comes now and
/// then. Log lines appear above it. One thread; cheap enough to call after every item.
class Progress {
 public:
  explicit Progress(ProgressOptions options);
  /// Removes the line.
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  /// `detail` is shown at the end: "loss 3.21".
  void update(int64_t done, std::string_view detail = "");
  /// Whether update() would show anything yet; to spare the making of a detail.
  bool due() const;

 private:
  using Clock = std::chrono::steady_clock;
  ProgressOptions options_;
  Console& console_;
  Clock::time_point start_, next_;
};

/// The text of such a line: "reading corpus  42%  1.2 GiB of 2.9 GiB  110 MiB/s  16.2 s left  detail".
std::string progress_line(const ProgressOptions& options, int64_t done, double seconds, std::string_view detail);

}  // namespace lathe
