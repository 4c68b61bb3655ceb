#include "lathe/base/console.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <mutex>

#include "lathe/base/utf8.h"

namespace lathe {
namespace {

constexpr std::string_view kEraseLine = "\r\x1b[K";

/// What cannot be written to standard error cannot be reported either.
void write_all(int descriptor, std::string_view bytes) {
  while (!bytes.empty()) {
    ssize_t count = ::write(descriptor, bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return;
    bytes.remove_prefix(size_t(count));
  }
}

/// The first `columns` characters, so that a long line does not wrap and stay on the screen.
std::string cut(std::string_view line, int columns) {
  for (auto at = CodePoints(line).begin(); at != CodePoints(line).end(); ++at)
    if (columns-- <= 0) return std::string(line.substr(0, at.offset()));
  return std::string(line);
}

}  // namespace

struct Console::State {
  int descriptor;
  bool terminal;
  std::mutex mutex;
  std::string status;
};

Console& Console::error() {
  const char* kind = std::getenv("TERM");
  static Console console(STDERR_FILENO, ::isatty(STDERR_FILENO) && kind && std::string_view(kind) != "dumb");
  return console;
}

Console::Console(int descriptor, bool terminal) : state_(std::make_unique<State>()) {
  state_->descriptor = descriptor;
  state_->terminal = terminal;
}

Console::~Console() { set_status(""); }

bool Console::terminal() const { return state_->terminal; }

int Console::columns() const {
  winsize size{};
  bool known = ::ioctl(state_->descriptor, TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
  return known ? size.ws_col : 80;
}

void Console::print(std::string_view lines) {
  std::lock_guard lock(state_->mutex);
  std::string out = state_->status.empty() ? "" : std::string(kEraseLine);
  out += lines;
  if (!lines.ends_with('\n')) out += '\n';
  write_all(state_->descriptor, out + state_->status);
}

void Console::set_status(std::string_view line) {
  std::lock_guard lock(state_->mutex);
  if (!state_->terminal || (line.empty() && state_->status.empty())) return;
  state_->status = cut(line, columns() - 1);
  write_all(state_->descriptor, std::string(kEraseLine) + state_->status);
}

}  // namespace lathe
