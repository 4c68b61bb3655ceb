#include "lathe/base/nearest.h"

#include <algorithm>
#include <vector>

#include "lathe/base/error.h"

namespace lathe {
namespace {

std::string simplified(std::string_view name) {
  std::string simple(name);
  for (char& c : simple) {
    if (c >= 'A' && c <= 'Z') c += 'a' - 'A';
    if (c == '-') c = '_';
  }
  return simple;
}

}  // namespace

int edit_distance(std::string_view from, std::string_view to) {
  // Three rows of the table of prefixes: optimal string alignment.
  std::vector<int> before(to.size() + 1), last(to.size() + 1), row(to.size() + 1);
  for (size_t j = 0; j <= to.size(); ++j) last[j] = int(j);
  for (size_t i = 1; i <= from.size(); ++i) {
    row[0] = int(i);
    for (size_t j = 1; j <= to.size(); ++j) {
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, last[j - 1] + (from[i - 1] != to[j - 1])});
      bool swapped = i > 1 && j > 1 && from[i - 1] == to[j - 2] && from[i - 2] == to[j - 1];
      if (swapped) row[j] = std::min(row[j], before[j - 2] + 1);
    }
    std::swap(before, last);
    std::swap(last, row);
  }
  return last[to.size()];
}

std::optional<std::string> nearest(std::string_view name, std::span<const std::string> names) {
  std::string wanted = simplified(name.substr(0, 200));
  const std::string* best = nullptr;
  int best_distance = 0;
  for (const std::string& candidate : names) {
    std::string simple = simplified(candidate);
    int distance = edit_distance(wanted, simple);
    bool contained = wanted.size() >= 2 && simple.size() > 2 &&
                     (simple.find(wanted) != std::string::npos || wanted.find(simple) != std::string::npos);
    int allowed = std::max<int>(1, int(std::max(wanted.size(), simple.size())) / 3);
    if (contained) distance = std::min(distance, allowed);  // "lr_warmup" for "warmup"
    if (distance <= allowed && (!best || distance < best_distance)) {
      best = &candidate;
      best_distance = distance;
    }
  }
  return best ? std::optional(*best) : std::nullopt;
}

std::string did_you_mean(std::string_view name, std::span<const std::string> names) {
  if (names.empty()) return "";
  if (std::optional<std::string> meant = nearest(name, names)) return text("; did you mean '", *meant, "'?");
  std::string message = "; known are ";
  constexpr size_t kShown = 12;
  for (size_t i = 0; i < names.size() && i < kShown; ++i) message += (i ? ", " : "") + names[i];
  return names.size() > kShown ? message + " ..." : message;
}

}  // namespace lathe
