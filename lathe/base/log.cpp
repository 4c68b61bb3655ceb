#include "lathe/base/log.h"

#include <spdlog/sinks/base_sink.h>
#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/dist_sink.h>
#include <spdlog/spdlog.h>

#include <array>
#include <atomic>
#include <cstdlib>
#include <mutex>
#include <set>

#include "lathe/base/console.h"
#include "lathe/base/nearest.h"

namespace lathe {
namespace {

constexpr std::array<const char*, 5> kNames = {"debug", "info", "warning", "error", "off"};

spdlog::level::level_enum spdlog_level(LogLevel level) {
  constexpr spdlog::level::level_enum levels[] = {spdlog::level::debug, spdlog::level::info, spdlog::level::warn,
                                                  spdlog::level::err, spdlog::level::off};
  return levels[size_t(level)];
}

/// Plain lines for people: only what is not information says what it is.
class ConsoleSink : public spdlog::sinks::base_sink<std::mutex> {
 protected:
  void sink_it_(const spdlog::details::log_msg& message) override {
    const char* prefix = message.level == spdlog::level::warn    ? "warning: "
                         : message.level >= spdlog::level::err   ? "error: "
                         : message.level <= spdlog::level::debug ? "debug: "
                                                                 : "";
    Console::error().print(prefix + std::string(message.payload.data(), message.payload.size()));
  }
  void flush_() override {}
};

struct Logger {
  std::shared_ptr<spdlog::sinks::dist_sink_mt> sinks = std::make_shared<spdlog::sinks::dist_sink_mt>();
  spdlog::logger logger{"lathe", sinks};
  std::mutex mutex;
  std::set<std::string> said;

  Logger() {
    sinks->add_sink(std::make_shared<ConsoleSink>());
    logger.set_level(spdlog::level::trace);
    logger.flush_on(spdlog::level::trace);  // a line that a crash swallows is of no use
  }
};

Logger& logger() {
  static Logger instance;
  return instance;
}

std::atomic<LogLevel>& current_level() {
  const char* asked = std::getenv("LATHE_LOG");
  static std::atomic<LogLevel> level = asked && *asked ? parse_log_level(asked) : LogLevel::info;
  return level;
}

}  // namespace

void set_log_level(LogLevel level) { current_level() = level; }
LogLevel log_level() { return current_level().load(std::memory_order_relaxed); }

LogLevel parse_log_level(std::string_view name) {
  for (size_t i = 0; i < kNames.size(); ++i)
    if (name == kNames[i]) return LogLevel(i);
  std::vector<std::string> names(kNames.begin(), kNames.end());
  throw Error(text("unknown log level '", name, "'", did_you_mean(name, names)));
}

void log_line(LogLevel level, const std::string& message) {
  if (level < log_level() || level == LogLevel::off) return;
  logger().logger.log(spdlog_level(level), spdlog::string_view_t(message.data(), message.size()));
}

void log_line_once(LogLevel level, const std::string& message) {
  {
    std::lock_guard lock(logger().mutex);
    if (!logger().said.insert(message).second) return;
  }
  log_line(level, message);
}

struct LogFile::Sink {
  std::shared_ptr<spdlog::sinks::basic_file_sink_mt> file;
};

LogFile::LogFile(const std::string& path) : sink_(std::make_unique<Sink>()) {
  try {
    sink_->file = std::make_shared<spdlog::sinks::basic_file_sink_mt>(path);
  } catch (const spdlog::spdlog_ex& error) {
    throw Error(text("cannot write the log ", path, ": ", error.what()));
  }
  sink_->file->set_pattern("%Y-%m-%d %H:%M:%S.%e %l %v");
  logger().sinks->add_sink(sink_->file);
}

LogFile::~LogFile() { logger().sinks->remove_sink(sink_->file); }

}  // namespace lathe
