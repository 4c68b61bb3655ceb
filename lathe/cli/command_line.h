#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace lathe::cli {

/// An option that a CommandLine declared; a cheap handle. What each says more about it returns the same handle.
class Option {
 public:
  explicit Option(CLI::Option* option) : option_(option) {}

  Option required();
  Option type_name(const std::string& name);  // what --help calls the value: FILE
  Option capture_default_str();               // --help shows the value that it has now
  Option take_all();                          // given again, adds to the values that are there
  Option expected(int values);                // each time it is given
  Option needs(const std::string& other);
  Option excludes(const std::string& other);

  Option one_of(const std::vector<std::string>& words);  // which --help lists
  Option between(int64_t least, int64_t most);
  Option positive();

 private:
  CLI::Option* option_;
};

/// What a command declares: options, positional arguments, subcommands; a cheap handle of the program's parser. It
/// stands between the commands and CLI11, whose headers cost each file that includes them as much as the rest of it to
/// compile. Variables named here are written when the command line is parsed, so they must live until then. What does
/// not fit ends the program with status 2.
class CommandLine {
 public:
  explicit CommandLine(CLI::App* app) : app_(app) {}

  /// `names` as "-o,--out", or "model" for a positional argument. Value: std::string, a list of it, int, int64_t,
  /// uint64_t, double; the optional ones that command_line.cpp lists.
  template <class Value>
  Option add_option(const std::string& names, Value& value, const std::string& help);
  /// Calls `function` with what was given: std::string or a list of it.
  template <class Value>
  Option add_option_function(const std::string& names, const std::function<void(const Value&)>& function,
                             const std::string& help);
  Option add_flag(const std::string& names, bool& value, const std::string& help);
  Option add_flag_callback(const std::string& names, std::function<void()> function, const std::string& help);

  CommandLine add_subcommand(const std::string& name, const std::string& summary);
  void require_subcommand();                    // exactly one
  bool parsed() const;                          // is this subcommand the one that was given?
  void callback(std::function<void()> chosen);  // called when it is
  void footer(const std::string& text);         // the end of --help

 private:
  CLI::App* app_;
};

/// The arguments of main(), of which each value means what it says: CLI11 alone would take "[a, b]" for two. Options of
/// a CommandLine expect them so.
std::vector<std::string> arguments_as_written(int argc, char** argv);

}  // namespace lathe::cli
