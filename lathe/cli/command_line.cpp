#include "lathe/cli/command_line.h"

#include <CLI/CLI.hpp>
#include <optional>
#include <string_view>

namespace lathe::cli {
namespace {

/// Stands before an argument that CLI11 would take for a list, "[a, b]", where it is what a user wrote.
constexpr char kVerbatim = '\x1f';

bool looks_like_a_list(std::string_view value) {
  return value.size() > 1 && value.front() == '[' && value.back() == ']';
}

CLI::Option* as_written(CLI::Option* option) {
  auto take_off = [](std::string& value) {
    if (value.starts_with(kVerbatim)) value.erase(0, 1);
    return std::string();
  };
  return option->transform(CLI::Validator(take_off, ""));
}

std::string not_positive(const std::string& given) {
  double value = 0;
  bool number = CLI::detail::lexical_cast(given, value);
  return number && value > 0 ? std::string() : given + " is no number above 0";
}

}  // namespace

std::vector<std::string> arguments_as_written(int argc, char** argv) {
  std::vector<std::string> all(argv + 1, argv + argc);
  for (std::string& argument : all) {
    size_t sign = argument.starts_with("--") ? argument.find('=') : std::string::npos;
    size_t value = sign == std::string::npos ? 0 : sign + 1;
    if (looks_like_a_list(std::string_view(argument).substr(value))) argument.insert(value, 1, kVerbatim);
  }
  return all;
}

Option Option::required() { return Option(option_->required()); }
Option Option::type_name(const std::string& name) { return Option(option_->type_name(name)); }
Option Option::capture_default_str() { return Option(option_->capture_default_str()); }
Option Option::take_all() { return Option(option_->take_all()); }
Option Option::expected(int values) { return Option(option_->expected(values)); }
Option Option::needs(const std::string& other) { return Option(option_->needs(other)); }
Option Option::excludes(const std::string& other) { return Option(option_->excludes(other)); }
Option Option::one_of(const std::vector<std::string>& words) { return Option(option_->check(CLI::IsMember(words))); }
Option Option::between(int64_t least, int64_t most) { return Option(option_->check(CLI::Range(least, most))); }
Option Option::positive() { return Option(option_->check(CLI::Validator(not_positive, "POSITIVE"))); }

template <class Value>
Option CommandLine::add_option(const std::string& names, Value& value, const std::string& help) {
  return Option(as_written(app_->add_option(names, value, help)));
}

template <class Value>
Option CommandLine::add_option_function(const std::string& names, const std::function<void(const Value&)>& function,
                                        const std::string& help) {
  return Option(as_written(app_->add_option_function<Value>(names, function, help)));
}

Option CommandLine::add_flag(const std::string& names, bool& value, const std::string& help) {
  return Option(app_->add_flag(names, value, help));
}

Option CommandLine::add_flag_callback(const std::string& names, std::function<void()> function,
                                      const std::string& help) {
  return Option(app_->add_flag_callback(names, std::move(function), help));
}

CommandLine CommandLine::add_subcommand(const std::string& name, const std::string& summary) {
  return CommandLine(app_->add_subcommand(name, summary));
}

void CommandLine::require_subcommand() { app_->require_subcommand(1); }
bool CommandLine::parsed() const { return app_->parsed(); }
void CommandLine::callback(std::function<void()> chosen) { app_->callback(std::move(chosen)); }
void CommandLine::footer(const std::string& text) { app_->footer(text); }

using Texts = std::vector<std::string>;
template Option CommandLine::add_option(const std::string&, std::string&, const std::string&);
template Option CommandLine::add_option(const std::string&, Texts&, const std::string&);
template Option CommandLine::add_option(const std::string&, int&, const std::string&);
template Option CommandLine::add_option(const std::string&, int64_t&, const std::string&);
template Option CommandLine::add_option(const std::string&, uint64_t&, const std::string&);
template Option CommandLine::add_option(const std::string&, std::optional<std::string>&, const std::string&);
template Option CommandLine::add_option(const std::string&, std::optional<int64_t>&, const std::string&);
template Option CommandLine::add_option(const std::string&, std::optional<double>&, const std::string&);
template Option CommandLine::add_option_function(const std::string&, const std::function<void(const std::string&)>&,
                                                 const std::string&);
template Option CommandLine::add_option_function(const std::string&, const std::function<void(const Texts&)>&,
                                                 const std::string&);

}  // namespace lathe::cli
