#include <iostream>
#include <memory>

#include "lathe/base/interrupt.h"
#include "lathe/base/settings.h"
#include "lathe/cli/command.h"
#include "lathe/cli/command_line.h"
#include "lathe/cli/training_samples.h"
#include "lathe/train/prepare_corpora.h"
#include "lathe/train/training_run.h"

namespace lathe::cli {
namespace {

constexpr const char* kHelp = R"(
Examples:
  lathe train jobs/demo.toml
  lathe train jobs/tiny-10m.toml --set optimizer.learning_rate=3e-4 --set training.dtype=f32
  lathe train jobs/tiny-10m.toml --set 'data.corpus=[{path="shards/books", text=["books/"]}]'
  lathe train --resume runs/tiny-10m

A corpus that is not there yet is prepared from the text its job names. Ctrl-C saves and stops.)";

struct Options {
  std::string job, resume;
  std::vector<std::string> overrides;
  TrainingOptions training;
  bool list = false;
};

int train(Options& options) {
  if (options.list) {
    std::cout << list_settings<JobSettings>();
    return 0;
  }
  options.training.resume = !options.resume.empty();
  require(options.training.resume || !options.job.empty(), "name a job file, or a run to --resume");
  JobSettings job = options.training.resume ? read_run_job(options.resume, options.overrides)
                                            : read_job(options.job, options.overrides);
  prepare_missing_corpora(job);
  InterruptGuard guard;
  TrainingOutcome outcome = run_training(job, options.training, {training_samples(job)});
  return outcome.interrupted ? interrupt_status() : 0;
}

std::function<int()> declare(CommandLine app) {
  auto options = std::make_shared<Options>();
  app.add_option("job", options->job, "job file (TOML); not needed to resume");
  app.add_option("--resume", options->resume, "go on with the run in this directory");
  app.add_option("--set", options->overrides, "section.field=value, instead of what the job says").take_all();
  app.add_flag("--use-previous", options->training.use_previous,
               "when the newest checkpoint is damaged, go on from the one before");
  app.add_flag("--list", options->list, "print all fields of a job with their defaults, and stop");
  app.footer(kHelp);
  return [options] { return train(*options); };
}

const bool provided = provide_command({"train", "Train a model as a job file says; resume a run", declare});

}  // namespace
}  // namespace lathe::cli
