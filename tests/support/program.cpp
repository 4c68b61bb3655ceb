#include "tests/support/program.h"

#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <memory>

#include "lathe/base/error.h"
#include "tests/support/checkout.h"

namespace lathe {
namespace {

/// An unnamed file that a program writes to.
struct Capture {
  std::unique_ptr<std::FILE, int (*)(std::FILE*)> file{std::tmpfile(), std::fclose};

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

}  // namespace

ProgramResult run_program(const std::vector<std::string>& arguments) {
  std::vector<char*> words;
  for (const std::string& argument : arguments) words.push_back(const_cast<char*>(argument.c_str()));
  words.push_back(nullptr);
  Capture output, errors;
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", 0, 0);
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

ProgramResult run_lathe(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), lathe_program());
  return run_program(arguments);
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
