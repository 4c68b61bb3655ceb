#pragma once

#include <functional>
#include <string>

namespace CLI {
class App;
}

namespace lathe::cli {

/// One subcommand of `lathe`. A command is one file: it declares its options on the CLI::App it is given and returns
/// what to run once they are parsed; the value returned is the exit status.
struct Command {
  std::string name;
  std::string summary;
  std::function<std::function<int()>(CLI::App&)> declare;
};

/// Adds a command to the program; used at namespace scope. Returns true.
bool provide_command(Command command);

}  // namespace lathe::cli
