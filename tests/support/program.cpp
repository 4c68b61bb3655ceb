#include "tests/support/program.h"

#include <pty.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <functional>
#include <memory>

#include "lathe/base/error.h"
#include "tests/support/checkout.h"

namespace lathe {
namespace {

/// An unnamed file that a program writes to, or reads.
struct Capture {
  std::unique_ptr<std::FILE, int (*)(std::FILE*)> file{std::tmpfile(), std::fclose};

  void fill(const std::string& text) const {
    std::fwrite(text.data(), 1, text.size(), file.get());
    std::fflush(file.get());
    std::rewind(file.get());
  }

  std::string content() const {
    std::string text;
    std::rewind(file.get());
    char block[4096];
    while (size_t count = std::fread(block, 1, sizeof block, file.get())) text.append(block, count);
    return text;
  }
};

int exit_status(pid_t child) {
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

std::filesystem::path peers_python() {
  const char* asked = std::getenv("LATHE_PEERS");
  std::filesystem::path folder = asked && *asked ? asked : checkout() / "build" / "peers";
  return folder / "bin" / "python";
}

/// Bytes that come from a terminal, until it closes or `enough` holds.
void read_terminal(int terminal, std::string& shown, const std::function<bool()>& enough) {
  char block[4096];
  while (!enough()) {
    ssize_t count = ::read(terminal, block, sizeof block);
    if (count <= 0) return;
    shown.append(block, size_t(count));
  }
}

}  // namespace

ProgramResult run_program(const std::vector<std::string>& arguments, const std::string& input) {
  std::vector<char*> words;
  for (const std::string& argument : arguments) words.push_back(const_cast<char*>(argument.c_str()));
  words.push_back(nullptr);
  Capture in, output, errors;
  in.fill(input);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, fileno(in.file.get()), STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&actions, fileno(output.file.get()), STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions, fileno(errors.file.get()), STDERR_FILENO);
  pid_t child = 0;
  int error = posix_spawnp(&child, words[0], &actions, nullptr, words.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  require(error == 0, "cannot start ", arguments[0], ": ", std::strerror(error));
  int status = exit_status(child);
  return {status, output.content(), errors.content()};
}

std::string lathe_program() { return build_folder() / "lathe"; }

ProgramResult run_lathe(std::vector<std::string> arguments, const std::string& input) {
  arguments.insert(arguments.begin(), lathe_program());
  return run_program(arguments, input);
}

ProgramResult run_lathe_in_terminal(std::vector<std::string> arguments, const std::vector<Keys>& keys) {
  arguments.insert(arguments.begin(), lathe_program());
  std::vector<char*> words;
  for (std::string& argument : arguments) words.push_back(argument.data());
  words.push_back(nullptr);
  int terminal = -1;
  pid_t child = ::forkpty(&terminal, nullptr, nullptr, nullptr);
  require(child >= 0, "cannot open a terminal: ", std::strerror(errno));
  if (child == 0) {
    ::setenv("TERM", "xterm", 1);
    ::execv(words[0], words.data());
    ::_exit(127);
  }
  std::string shown;
  size_t seen = 0;
  for (const Keys& each : keys) {
    size_t at = std::string::npos;
    read_terminal(terminal, shown, [&] { return (at = shown.find(each.after, seen)) != std::string::npos; });
    seen = at == std::string::npos ? shown.size() : at + each.after.size();
    [[maybe_unused]] ssize_t written = ::write(terminal, each.typed.data(), each.typed.size());
  }
  read_terminal(terminal, shown, [] { return false; });
  ::close(terminal);
  return {exit_status(child), shown, ""};
}

bool peers_are_ready() { return std::filesystem::exists(peers_python()); }

std::string no_peers() { return "no Python in " + peers_python().string() + "; script/setup --peers makes it"; }

std::string run_peer(const std::string& code, const std::vector<std::string>& arguments) {
  std::vector<std::string> words = {peers_python(), "-c", code};
  words.insert(words.end(), arguments.begin(), arguments.end());
  ProgramResult result = run_program(words);
  require(result.status == 0, "the peers' Python ended with status ", result.status, ":\n", result.errors);
  return result.output;
}

}  // namespace lathe
