#pragma once

#include <string>
#include <vector>

namespace lathe {

/// A line while it is typed: its text, the cursor in it, and the lines typed before. Moves by characters.
class EditedLine {
 public:
  const std::string& text() const { return text_; }
  size_t cursor() const { return cursor_; }  ///< in bytes

  void insert(std::string_view bytes);
  void move_left();
  void move_right();
  void move_word_left();
  void move_word_right();
  void move_home() { cursor_ = 0; }
  void move_end() { cursor_ = text_.size(); }
  void erase_left();
  void erase_right();
  void erase_word_left();
  void erase_to_home();
  void erase_to_end() { text_.resize(cursor_); }

  /// Shows the line typed before (after) the one that is shown.
  void older();
  void newer();
  /// Begins an empty line; `finished` is remembered.
  void begin();
  void remember(const std::string& finished);

 private:
  size_t left_of(size_t at) const;
  size_t right_of(size_t at) const;
  size_t word_left_of(size_t at) const;
  void show(const std::string& text);

  std::string text_;
  size_t cursor_ = 0;
  std::vector<std::string> history_;
  size_t shown_ = 0;   ///< in the history; its size: the line that is typed
  std::string typed_;  ///< that line, while an older one is shown
};

}  // namespace lathe
