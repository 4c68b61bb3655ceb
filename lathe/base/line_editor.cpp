#include "lathe/base/line_editor.h"

#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>
#include <utf8proc.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <iostream>

#include "lathe/base/error.h"
#include "lathe/base/utf8.h"

namespace lathe {
namespace {

constexpr char kControl = 0x1F;  // Ctrl-X is X & this
constexpr char control(char letter) { return char(letter & kControl); }
constexpr const char *kPasteOn = "\x1b[?2004h", *kPasteOff = "\x1b[?2004l";

void write_out(const std::string& bytes) { std::cout << bytes << std::flush; }

/// A terminal that gives every key as it is pressed, until the end of this.
class RawMode {
 public:
  RawMode() {
    require(::tcgetattr(STDIN_FILENO, &before_) == 0, "cannot read the settings of the terminal");
    termios raw = before_;
    raw.c_iflag &= ~tcflag_t(BRKINT | ICRNL | INPCK | ISTRIP | IXON);
    raw.c_lflag &= ~tcflag_t(ECHO | ICANON | IEXTEN | ISIG);
    raw.c_cc[VMIN] = 1, raw.c_cc[VTIME] = 0;
    require(::tcsetattr(STDIN_FILENO, TCSADRAIN, &raw) == 0, "cannot change the settings of the terminal");
    write_out(kPasteOn);
  }
  ~RawMode() {
    ::tcsetattr(STDIN_FILENO, TCSADRAIN, &before_);
    write_out(kPasteOff);
  }
  RawMode(const RawMode&) = delete;

 private:
  termios before_{};
};

int columns_of_terminal() {
  winsize size{};
  bool known = ::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1;
  return known ? size.ws_col : 80;
}

struct Place {
  int row = 0, column = 0;
};

/// Where the cursor is after `text`, which may wrap.
Place place_after(std::string_view text, int columns, Place place = {}) {
  for (CodePoint c : CodePoints(text)) {
    int width = c.value == '\n' ? 0 : std::max(utf8proc_charwidth(utf8proc_int32_t(c.value)), 0);
    if (c.value == '\n' || place.column + width > columns) ++place.row, place.column = 0;
    place.column += width;
  }
  if (place.column == columns) ++place.row, place.column = 0;
  return place;
}

/// As a terminal in raw mode shows it: control characters as ^X.
std::string shown(const std::string& text) {
  std::string out;
  for (char byte : text) {
    bool hidden = (byte >= 0 && byte < 0x20 && byte != '\n') || byte == 0x7F;
    hidden ? out += '^', out += char(byte ^ 0x40) : out += byte;
  }
  return out;
}

}  // namespace

LineEditor::LineEditor() {
  const char* kind = std::getenv("TERM");
  terminal_ = ::isatty(STDIN_FILENO) && ::isatty(STDOUT_FILENO) && kind && std::string_view(kind) != "dumb";
}

std::optional<std::string> LineEditor::read(const std::string& prompt) {
  if (terminal_) return edit(prompt);
  std::string line;
  if (!std::getline(std::cin, line)) return std::nullopt;
  if (line.ends_with('\r')) line.pop_back();
  return line;
}

std::optional<std::string> LineEditor::edit(const std::string& prompt) {
  RawMode raw;
  line_.begin();
  row_ = 0;
  for (;;) {
    draw(prompt);
    std::optional<char> byte = next_byte();
    Step step = byte ? take(*byte) : Step::ended;
    if (step == Step::on) continue;
    leave_line(prompt);
    if (step == Step::ended) return std::nullopt;
    if (step == Step::emptied) return "";
    line_.remember(line_.text());
    return line_.text();
  }
}

std::optional<char> LineEditor::next_byte() {
  char byte = 0;
  ssize_t count = 0;
  do count = ::read(STDIN_FILENO, &byte, 1);
  while (count < 0 && errno == EINTR);
  return count == 1 ? std::optional(byte) : std::nullopt;
}

LineEditor::Step LineEditor::take(char byte) {
  switch (byte) {
    case '\r':
      return Step::finished;
    case control('C'):
      return Step::emptied;
    case control('D'):
      if (line_.text().empty()) return Step::ended;
      line_.erase_right();
      return Step::on;
    case control('J'):
      return line_.insert("\n"), Step::on;
    case control('A'):
      return line_.move_home(), Step::on;
    case control('E'):
      return line_.move_end(), Step::on;
    case control('B'):
      return line_.move_left(), Step::on;
    case control('F'):
      return line_.move_right(), Step::on;
    case control('K'):
      return line_.erase_to_end(), Step::on;
    case control('U'):
      return line_.erase_to_home(), Step::on;
    case control('W'):
      return line_.erase_word_left(), Step::on;
    case control('P'):
      return line_.older(), Step::on;
    case control('N'):
      return line_.newer(), Step::on;
    case control('L'):
      return write_out("\x1b[H\x1b[2J"), row_ = 0, Step::on;
    case control('H'):
    case 0x7F:
      return line_.erase_left(), Step::on;
    case 0x1B:
      return take_escape(), Step::on;
  }
  if (byte == '\t') byte = ' ';
  if (byte >= 0 && byte < 0x20) return Step::on;
  waiting_ += byte;
  size_t whole = utf8_complete_prefix(waiting_);
  line_.insert(lossy_utf8(std::string_view(waiting_).substr(0, whole)));
  waiting_.erase(0, whole);
  return Step::on;
}

/// ESC [ A and the like; Alt-B is ESC b.
void LineEditor::take_escape() {
  std::optional<char> kind = next_byte();
  if (kind == 'b') return line_.move_word_left();
  if (kind == 'f') return line_.move_word_right();
  if (kind != '[' && kind != 'O') return;
  std::string sequence;
  for (std::optional<char> byte; (byte = next_byte());) {
    sequence += *byte;
    if (*byte >= '@' && *byte <= '~') break;
  }
  if (sequence == "A") return line_.older();
  if (sequence == "B") return line_.newer();
  if (sequence == "C") return line_.move_right();
  if (sequence == "D") return line_.move_left();
  if (sequence == "1;5C" || sequence == "1;3C") return line_.move_word_right();
  if (sequence == "1;5D" || sequence == "1;3D") return line_.move_word_left();
  if (sequence == "H" || sequence == "1~" || sequence == "7~") return line_.move_home();
  if (sequence == "F" || sequence == "4~" || sequence == "8~") return line_.move_end();
  if (sequence == "3~") return line_.erase_right();
  if (sequence == "200~") return paste();
}

void LineEditor::paste() {
  constexpr std::string_view kEnd = "\x1b[201~";
  std::string pasted;
  while (!pasted.ends_with(kEnd)) {
    std::optional<char> byte = next_byte();
    if (!byte) return;
    pasted += *byte == '\r' ? '\n' : *byte;
  }
  pasted.resize(pasted.size() - kEnd.size());
  line_.insert(lossy_utf8(pasted));
}

void LineEditor::draw(const std::string& prompt) {
  int columns = columns_of_terminal();
  std::string text = shown(line_.text());
  Place cursor = place_after(prompt + shown(line_.text().substr(0, line_.cursor())), columns);
  Place end = place_after(prompt + text, columns);
  std::string out = row_ > 0 ? lathe::text("\x1b[", row_, "A") : "";
  out += "\r\x1b[J" + prompt;
  for (char byte : text) byte == '\n' ? out += "\r\n" : out += byte;
  if (end.column == 0 && end.row > 0 && !text.ends_with('\n')) out += "\r\n";  // the terminal wraps late
  if (end.row > cursor.row) out += lathe::text("\x1b[", end.row - cursor.row, "A");
  out += "\r";
  if (cursor.column > 0) out += lathe::text("\x1b[", cursor.column, "C");
  row_ = cursor.row;
  write_out(out);
}

/// Goes on below the line.
void LineEditor::leave_line(const std::string& prompt) {
  line_.move_end();
  draw(prompt);
  write_out("\r\n");
}

}  // namespace lathe
