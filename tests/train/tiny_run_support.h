#pragma once

#include <sys/types.h>

#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "tests/support/program.h"

namespace lathe::test {

/// A directory of its own with a tokenizer, token shards and a job that the program trains in milliseconds a step: two
/// layers of width 32. Removed at the end.
class TinyRun {
 public:
  /// `changes` are lines of a job, as --set takes them.
  explicit TinyRun(std::vector<std::string> changes = {});
  ~TinyRun();

  std::string path(const std::string& name) const { return (directory_ / name).string(); }
  std::string run() const { return path("run"); }
  std::string job() const { return path("job.toml"); }
  std::string shards() const { return path("shards"); }
  std::string checkpoint(int64_t step) const;

  /// `lathe train` with the job, and with these options behind it.
  ProgramResult train(std::vector<std::string> options = {}) const;
  ProgramResult resume(std::vector<std::string> options = {}) const;

 private:
  std::filesystem::path directory_;
  std::vector<std::string> changes_;
};

std::string content_of(const std::string& path);
void flip_bit(const std::string& path, size_t byte, int bit = 0);
/// Every file below `directory` by its relative path, with its bytes.
std::map<std::string, std::string> files_of(const std::string& directory);

/// A `lathe` that runs beside the test; killed at the end when it still runs.
class Background {
 public:
  explicit Background(std::vector<std::string> arguments);
  ~Background();
  void signal(int number) const;
  /// Waits for its end; 128 + the signal when one ended it.
  int wait();
  bool running();
  /// What it has written to both streams so far.
  std::string output() const;

 private:
  std::FILE* output_;
  pid_t process_ = 0;
  int status_ = -1;
};

/// Asks `condition` every 100 µs until it holds; false after `seconds`.
bool wait_until(const std::function<bool()>& condition, double seconds = 30);

}  // namespace lathe::test
