#include <CLI/CLI.hpp>
#include <algorithm>
#include <iostream>
#include <map>
#include <new>

#include "lathe/base/build_info.h"
#include "lathe/base/error.h"
#include "lathe/base/log.h"
#include "lathe/base/nearest.h"
#include "lathe/base/threads.h"
#include "lathe/cli/command.h"
#include "lathe/cli/command_line.h"
#include "lathe/tensor/accelerator.h"

namespace lathe::cli {
namespace {

constexpr int kFailed = 1;
constexpr int kWrongUsage = 2;

constexpr const char* kExamples = R"(Examples:
  lathe tokenizer train books/ --vocabulary-size 8000 --out tokenizer
  lathe data prepare books/ --tokenizer tokenizer --out shards --held-out 1MB
  lathe plan jobs/demo.toml
  lathe train jobs/demo.toml --set optimizer.learning_rate=3e-4
  lathe generate runs/demo --prompt "In the beginning"
  lathe chat smollm2/

`lathe COMMAND --help` says more. Results go to standard output, logs to standard error.)";

std::map<std::string, Command>& commands() {
  static std::map<std::string, Command> all;  // by name, so that --help does not depend on the order of linking
  return all;
}

void declare_common_options(CLI::App& app) {
  app.set_version_flag("--version", [] { return version_text() + "\n" + describe(accelerators()); });
  app.add_option_function<int>("--threads", set_threads, "Processor threads to work with")
      ->type_name("N")
      ->check(CLI::Range(1, 4096));
  app.add_option_function<std::string>(
         "--log", [](const std::string& name) { set_log_level(parse_log_level(name)); },
         "Least level of log lines to show")
      ->type_name("LEVEL")
      ->check(CLI::IsMember({"debug", "info", "warning", "error", "off"}));
}

/// An unknown command is the usual mistake; CLI11 alone would only call it an extra argument.
void check_command_name(int argc, char** argv) {
  if (argc < 2 || argv[1][0] == '-' || commands().count(argv[1])) return;
  std::vector<std::string> names;
  for (const auto& [name, command] : commands()) names.push_back(name);
  throw CLI::ExtrasError(text("unknown command '", argv[1], "'", did_you_mean(argv[1], names)),
                         CLI::ExitCodes::ExtrasError);
}

int run(int argc, char** argv) {
  CLI::App app("Language models from raw text to a served product, on the hardware you have.", "lathe");
  app.require_subcommand(1);
  app.fallthrough();  // `lathe train --threads 2` as well as `lathe --threads 2 train`
  app.footer(kExamples);
  declare_common_options(app);
  std::function<int()> chosen;
  for (const auto& [name, command] : commands()) {
    CLI::App* sub = app.add_subcommand(name, command.summary);
    std::function<int()> action = command.declare(CommandLine(sub));
    sub->final_callback([&chosen, action] { chosen = action; });
  }
  try {
    check_command_name(argc, argv);
    std::vector<std::string> arguments = arguments_as_written(argc, argv);
    std::reverse(arguments.begin(), arguments.end());  // as CLI11 takes them
    app.parse(std::move(arguments));
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);
    std::cerr << "lathe: " << error.what() << "\n`lathe --help` shows how it is used\n";
    return kWrongUsage;
  }
  int status = chosen();
  std::cout.flush();
  require(std::cout.good(), "cannot write the results to standard output");
  return status;
}

}  // namespace

bool provide_command(Command command) {
  std::string name = command.name;
  if (!commands().emplace(name, std::move(command)).second) throw InternalError("a second command named " + name);
  return true;
}

}  // namespace lathe::cli

int main(int argc, char** argv) {
  try {
    return lathe::cli::run(argc, argv);
  } catch (const lathe::InternalError& error) {
    std::cerr << "lathe: " << error.what() << "\nThis is a mistake in lathe, not yours; please report it.\n";
  } catch (const std::bad_alloc&) {
    std::cerr << "lathe: out of memory\n";
  } catch (const std::exception& error) {
    std::cerr << "lathe: " << error.what() << '\n';
  }
  return lathe::cli::kFailed;
}
