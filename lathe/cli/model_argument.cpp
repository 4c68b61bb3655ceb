#include "lathe/cli/model_argument.h"

#include <algorithm>
#include <filesystem>

#include "lathe/base/error.h"
#include "lathe/base/gguf.h"
#include "lathe/base/log.h"
#include "lathe/cli/command_line.h"
#include "lathe/train/manifest.h"
#include "lathe/train/run_directory.h"

namespace lathe::cli {
namespace {

namespace fs = std::filesystem;

std::string listed(const std::vector<int64_t>& steps) {
  std::string all;
  for (int64_t step : steps) all += (all.empty() ? "" : ", ") + std::to_string(step);
  return all;
}

std::string newest_intact(const std::string& run, std::vector<int64_t> steps) {
  for (; !steps.empty(); steps.pop_back()) {
    std::string directory = checkpoint_directory(run, steps.back());
    try {
      verify_manifest(directory);
      return directory;
    } catch (const Error& error) {
      log_warning(error.what(), steps.size() > 1 ? "; the checkpoint before it is used" : "");
    }
  }
  throw Error(text(run, ": no checkpoint of this run is intact"));
}

}  // namespace

std::string model_directory(const std::string& run_or_model, std::optional<int64_t> step) {
  if (fs::is_regular_file(run_or_model)) {
    require(is_gguf(run_or_model), run_or_model, ": no GGUF file; name one, a run or a model directory");
    require(!step, run_or_model, " is a GGUF file, which has no checkpoint of step ", step.value_or(0));
    return run_or_model;
  }
  require(fs::is_directory(run_or_model), run_or_model,
          ": no such file or directory; name a run, a model directory or a GGUF file");
  std::vector<int64_t> steps = checkpoint_steps(run_or_model);
  if (step) {
    require(std::count(steps.begin(), steps.end(), *step) > 0, run_or_model, " has no checkpoint of step ", *step,
            steps.empty() ? std::string("; it is no run with checkpoints") : "; there are those of " + listed(steps));
    verify_manifest(checkpoint_directory(run_or_model, *step));
    return checkpoint_directory(run_or_model, *step);
  }
  if (!steps.empty()) return newest_intact(run_or_model, steps);
  require(!fs::exists(fs::path(run_or_model) / "job.toml") || fs::exists(fs::path(run_or_model) / "config.json"),
          run_or_model, ": this run has no checkpoint yet; training writes one every save.every steps and at its end");
  require(fs::exists(fs::path(run_or_model) / "config.json"), run_or_model,
          ": neither a run (no checkpoints) nor a model directory (no config.json)");
  return run_or_model;
}

void declare_adapter(CommandLine app, std::string& adapter) {
  app.add_option("--adapter", adapter, "a LoRA for the model, in a directory that PEFT saved").type_name("DIR");
}

}  // namespace lathe::cli
