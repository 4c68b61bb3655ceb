#include "lathe/infer/stop_strings.h"

#include <algorithm>
#include <utility>

#include "lathe/base/error.h"

namespace lathe {
namespace {

/// How many last bytes of `text` begin `stop`.
size_t begun(std::string_view text, std::string_view stop) {
  for (size_t count = std::min(text.size(), stop.size() - 1); count > 0; --count)
    if (text.substr(text.size() - count) == stop.substr(0, count)) return count;
  return 0;
}

}  // namespace

StopStrings::StopStrings(std::vector<std::string> stops) : stops_(std::move(stops)) {
  for (const std::string& stop : stops_) require(!stop.empty(), "a stop string must not be empty");
}

std::string StopStrings::push(std::string_view piece) {
  if (stopped_) return "";
  held_ += piece;
  size_t start = std::string::npos, end = std::string::npos, hold = 0;
  for (const std::string& stop : stops_) {
    hold = std::max(hold, begun(held_, stop));
    size_t at = held_.find(stop);
    if (at == std::string::npos || std::pair(at + stop.size(), at) >= std::pair(end, start)) continue;
    start = at, end = at + stop.size();
  }
  stopped_ = end != std::string::npos;
  std::string shown = held_.substr(0, stopped_ ? start : held_.size() - hold);
  held_ = stopped_ ? "" : held_.substr(shown.size());
  return shown;
}

std::string StopStrings::finish() { return std::exchange(held_, ""); }

}  // namespace lathe
