#pragma once

#include <functional>
#include <string>

#include "lathe/cli/command_line.h"

namespace lathe::cli {

/// One subcommand of `lathe`. A command is one file: it declares its options on the CommandLine it is given and returns
/// what to run once they are parsed; the value returned is the exit status.
struct Command {
  std::string name;
  std::string summary;
  std::function<std::function<int()>(CommandLine)> declare;
};

/// Adds a command to the program; used at namespace scope. Returns true.
bool provide_command(Command command);

}  // namespace lathe::cli
