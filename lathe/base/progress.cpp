#include "lathe/base/progress.h"

#include <algorithm>
#include <cmath>

#include "lathe/base/error.h"
#include "lathe/base/numbers.h"

namespace lathe {
namespace {

bool in_bytes(const ProgressOptions& options) { return options.unit == "bytes"; }

std::string amount(const ProgressOptions& options, int64_t count) {
  return in_bytes(options) ? format_bytes(count) : format_count(count);
}

std::string rate_text(const ProgressOptions& options, double rate) {
  if (in_bytes(options)) return format_bytes(std::llround(rate)) + "/s";
  std::string number = rate < 100 ? format_fixed(rate, rate < 10 ? 2 : 1) : format_short_count(rate);
  return text(number, ' ', options.unit, "/s");
}

std::chrono::nanoseconds nanoseconds(double seconds) { return std::chrono::nanoseconds(std::llround(seconds * 1e9)); }

}  // namespace

std::string progress_line(const ProgressOptions& options, int64_t done, double seconds, std::string_view detail) {
  std::string line = options.what;
  if (options.total > 0)
    line += text("  ", std::min<int64_t>(100, int64_t(100.0 * double(done) / double(options.total))), '%');
  line += "  " + amount(options, done);
  if (options.total > 0) line += " of " + amount(options, options.total);
  double rate = seconds > 0 ? double(done - options.first) / seconds : 0;
  if (rate > 0) {
    if (!options.unit.empty()) line += "  " + rate_text(options, rate);
    if (options.total > done) line += "  " + format_duration(double(options.total - done) / rate) + " left";
  }
  if (!detail.empty()) line += text("  ", detail);
  return line;
}

Progress::Progress(ProgressOptions options)
    : options_(std::move(options)),
      console_(options_.console ? *options_.console : Console::error()),
      start_(Clock::now()),
      next_(start_ + nanoseconds(console_.terminal() ? 0 : options_.plain_seconds)) {}

Progress::~Progress() { console_.set_status(""); }

bool Progress::due() const { return Clock::now() >= next_; }

void Progress::update(int64_t done, std::string_view detail) {
  Clock::time_point now = Clock::now();
  if (now < next_) return;
  next_ = now + nanoseconds(console_.terminal() ? options_.redraw_seconds : options_.plain_seconds);
  std::string line = progress_line(options_, done, std::chrono::duration<double>(now - start_).count(), detail);
  console_.terminal() ? console_.set_status(line) : console_.print(line);
}

}  // namespace lathe
