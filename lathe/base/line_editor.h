#pragma once

#include <optional>
#include <string>

#include "lathe/base/edited_line.h"

namespace lathe {

/// Reads lines from standard input. In a terminal they can be edited: arrows, Home, End, Ctrl-A E B F K U W, Alt-B F,
/// history by the arrows up and down, Ctrl-J or a paste for several lines in one, Ctrl-C for an empty line. Elsewhere
/// they are read as they are. One at a time.
class LineEditor {
 public:
  LineEditor();

  bool terminal() const { return terminal_; }
  /// The next line, without its end; nothing at the end of the input (in a terminal: Ctrl-D in an empty line). In a
  /// terminal `prompt` stands before it.
  std::optional<std::string> read(const std::string& prompt);

 private:
  enum class Step : uint8_t { on, finished, emptied, ended };
  std::optional<std::string> edit(const std::string& prompt);
  Step take(char byte);
  void take_escape();
  void paste();
  std::optional<char> next_byte();
  void draw(const std::string& prompt);
  void leave_line(const std::string& prompt);

  bool terminal_;
  EditedLine line_;
  int row_ = 0;          ///< of the cursor, below the first row of the prompt
  std::string waiting_;  ///< bytes of a character whose others are still to come
};

}  // namespace lathe
