#pragma once

#include <string_view>

namespace lathe {

/// While one lives, SIGINT (Ctrl-C) and SIGTERM ask the program to stop where that is safe: they set interrupted(). A
/// second one ends the process at once, with the exit status of interrupt_status(). One at a time; made by the main
/// thread.
class InterruptGuard {
 public:
  static constexpr std::string_view kStopping = "\nlathe: stopping as soon as that is safe; once more quits at once\n";
  /// The first signal writes `message`, which must outlive it, to standard error.
  explicit InterruptGuard(std::string_view message = kStopping);
  ~InterruptGuard();
  InterruptGuard(const InterruptGuard&) = delete;
  InterruptGuard& operator=(const InterruptGuard&) = delete;
};

/// Whether a signal came since the guard was made. Cheap; any thread.
bool interrupted();

/// What a shell expects of a program that a signal ended: 130 after SIGINT, 143 after SIGTERM; 0 before any.
int interrupt_status();

}  // namespace lathe
