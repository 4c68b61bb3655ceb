#pragma once

#include <string>
#include <vector>

namespace lathe {

struct ProgramResult {
  int status;  // the exit status, or 128 + the signal that ended it
  std::string output;
  std::string errors;
};

/// Runs the program `arguments[0]`, found along PATH, with `input` as its standard input, and waits for it. No shell
/// takes part. Throws Error when it cannot be started.
ProgramResult run_program(const std::vector<std::string>& arguments, const std::string& input = "");

/// The `lathe` of this build.
std::string lathe_program();

/// Runs the `lathe` of this build: `run_lathe({"tokenizer", "show", path})`.
ProgramResult run_lathe(std::vector<std::string> arguments, const std::string& input = "");

/// What a person types in a terminal, as soon as it shows `after` (behind what earlier keys waited for).
struct Keys {
  std::string after, typed;
};
/// The same in a pseudo-terminal; what that showed, standard error among it, is the output.
ProgramResult run_lathe_in_terminal(std::vector<std::string> arguments, const std::vector<Keys>& keys);

/// True when `build/peers` (script/setup --peers), or the venv that the environment's LATHE_PEERS names, is there; a
/// test of a suite named Peer... otherwise skips with `no_peers()`.
bool peers_are_ready();
std::string no_peers();

/// Runs the Python program `code` with the peers' interpreter and returns its standard output; `arguments` are its
/// sys.argv[1:]. Throws Error with what it wrote when it fails.
std::string run_peer(const std::string& code, const std::vector<std::string>& arguments = {});

}  // namespace lathe
