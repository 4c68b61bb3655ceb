#pragma once

#include <memory>
#include <string>
#include <string_view>

namespace lathe {

/// Standard error, shared by log lines and one status line at the bottom (progress). On a terminal a printed line goes
/// above the status line; elsewhere there is no status line. Any thread.
class Console {
 public:
  /// The program's own, on standard error.
  static Console& error();

  /// Writes to `descriptor`, which must stay open; `terminal` tells whether it can redraw a line.
  Console(int descriptor, bool terminal);
  ~Console();

  bool terminal() const;
  int columns() const;
  /// Writes whole lines at once. `lines` may end without a line end.
  void print(std::string_view lines);
  /// Draws the status line again with this text, cut to the terminal's width; "" removes it. Nothing off a terminal.
  void set_status(std::string_view line);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace lathe
