#include "lathe/base/edited_line.h"

namespace lathe {
namespace {

bool continues(char byte) { return (byte & 0xC0) == 0x80; }

}  // namespace

size_t EditedLine::left_of(size_t at) const {
  if (at > 0) --at;
  while (at > 0 && continues(text_[at])) --at;
  return at;
}

size_t EditedLine::right_of(size_t at) const {
  if (at < text_.size()) ++at;
  while (at < text_.size() && continues(text_[at])) ++at;
  return at;
}

size_t EditedLine::word_left_of(size_t at) const {
  while (at > 0 && text_[at - 1] == ' ') --at;
  while (at > 0 && text_[at - 1] != ' ') --at;
  return at;
}

void EditedLine::insert(std::string_view bytes) {
  text_.insert(cursor_, bytes);
  cursor_ += bytes.size();
}

void EditedLine::move_left() { cursor_ = left_of(cursor_); }
void EditedLine::move_right() { cursor_ = right_of(cursor_); }
void EditedLine::move_word_left() { cursor_ = word_left_of(cursor_); }

void EditedLine::move_word_right() {
  while (cursor_ < text_.size() && text_[cursor_] == ' ') ++cursor_;
  while (cursor_ < text_.size() && text_[cursor_] != ' ') ++cursor_;
}

void EditedLine::erase_left() {
  size_t from = left_of(cursor_);
  text_.erase(from, cursor_ - from);
  cursor_ = from;
}

void EditedLine::erase_right() { text_.erase(cursor_, right_of(cursor_) - cursor_); }

void EditedLine::erase_word_left() {
  size_t from = word_left_of(cursor_);
  text_.erase(from, cursor_ - from);
  cursor_ = from;
}

void EditedLine::erase_to_home() {
  text_.erase(0, cursor_);
  cursor_ = 0;
}

void EditedLine::show(const std::string& text) {
  text_ = text;
  cursor_ = text_.size();
}

void EditedLine::older() {
  if (shown_ == 0) return;
  if (shown_ == history_.size()) typed_ = text_;
  show(history_[--shown_]);
}

void EditedLine::newer() {
  if (shown_ == history_.size()) return;
  ++shown_;
  show(shown_ == history_.size() ? typed_ : history_[shown_]);
}

void EditedLine::begin() {
  show("");
  shown_ = history_.size();
}

void EditedLine::remember(const std::string& finished) {
  if (!finished.empty() && (history_.empty() || history_.back() != finished)) history_.push_back(finished);
}

}  // namespace lathe
