#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "lathe/base/error.h"

namespace lathe {

/// Log lines go to standard error, above a progress line if there is one, and into every open LogFile. Any thread.
/// Results of a command go to standard output instead, never through here.
enum class LogLevel : uint8_t { debug, info, warning, error, off };

/// Lines below it are dropped: LATHE_LOG=debug|info|warning|error|off, or info, unless set here.
void set_log_level(LogLevel level);
LogLevel log_level();
/// Throws Error, naming the nearest level, when `name` is none.
LogLevel parse_log_level(std::string_view name);

/// One line, or several; without a line end of its own.
void log_line(LogLevel level, const std::string& message);
/// The same, but each text only the first time in the program: for "a slower way was taken".
void log_line_once(LogLevel level, const std::string& message);

template <class... Parts>
void log_debug(const Parts&... parts) {
  if (log_level() <= LogLevel::debug) log_line(LogLevel::debug, text(parts...));
}
template <class... Parts>
void log_info(const Parts&... parts) {
  if (log_level() <= LogLevel::info) log_line(LogLevel::info, text(parts...));
}
template <class... Parts>
void log_warning(const Parts&... parts) {
  if (log_level() <= LogLevel::warning) log_line(LogLevel::warning, text(parts...));
}
template <class... Parts>
void log_error(const Parts&... parts) {
  if (log_level() <= LogLevel::error) log_line(LogLevel::error, text(parts...));
}
template <class... Parts>
void say_once(const Parts&... parts) {
  log_line_once(LogLevel::warning, text(parts...));
}

/// While it lives, log lines are also added to a file, with their time: the log of a run.
class LogFile {
 public:
  /// Opens `path` for appending. Throws Error when it cannot be written.
  explicit LogFile(const std::string& path);
  ~LogFile();
  LogFile(const LogFile&) = delete;
  LogFile& operator=(const LogFile&) = delete;

 private:
  struct Sink;
  std::unique_ptr<Sink> sink_;
};

}  // namespace lathe
