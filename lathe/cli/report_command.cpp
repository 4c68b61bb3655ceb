#include <filesystem>
#include <iostream>
#include <memory>

#include "lathe/base/durable_file.h"
#include "lathe/cli/command.h"
#include "lathe/cli/command_line.h"
#include "lathe/train/report.h"

namespace lathe::cli {
namespace {

constexpr const char* kHelp = R"(
The page stands alone: no scripts, nothing loaded from elsewhere. It can be made while the run goes on, and of a run
that was killed.

Examples:
  lathe report runs/demo
  lathe report runs/demo --out demo.html --svg loss.svg)";

struct Arguments {
  std::string run, out, svg;
};

int report(const Arguments& arguments) {
  RunRecord run = read_run(arguments.run);
  std::string out = arguments.out;
  if (out.empty()) out = (std::filesystem::path(arguments.run) / "report.html").string();
  replace_file(out, report_page(run));
  std::cout << "written to " << out << '\n';
  if (arguments.svg.empty()) return 0;
  replace_file(arguments.svg, svg_file(loss_chart(run)));
  std::cout << "written to " << arguments.svg << '\n';
  return 0;
}

std::function<int()> declare(CommandLine app) {
  const auto arguments = std::make_shared<Arguments>();
  app.add_option("run", arguments->run, "the directory of a run").required();
  app.add_option("--out", arguments->out, "the page to write (default: RUN/report.html)").type_name("FILE");
  app.add_option("--svg", arguments->svg, "also write the loss curves alone").type_name("FILE");
  app.footer(kHelp);
  return [=] { return report(*arguments); };
}

const bool provided = provide_command({"report", "Show a run as a page with curves", declare});

}  // namespace
}  // namespace lathe::cli
