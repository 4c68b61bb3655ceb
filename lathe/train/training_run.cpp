#include "lathe/train/training_run.h"

#include <chrono>
#include <cmath>
#include <deque>
#include <filesystem>
#include <iostream>

#include "lathe/base/durable_file.h"
#include "lathe/base/interrupt.h"
#include "lathe/base/log.h"
#include "lathe/base/mapped_file.h"
#include "lathe/base/numbers.h"
#include "lathe/ops/matmul_choices.h"
#include "lathe/train/corpora.h"
#include "lathe/train/manifest.h"
#include "lathe/train/progress_line.h"
#include "lathe/train/run_directory.h"
#include "lathe/train/run_log.h"
#include "lathe/train/snapshot.h"
#include "lathe/train/training_plan.h"

namespace lathe {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

bool due(int64_t step, int64_t every, int64_t last) { return (every > 0 && step % every == 0) || step == last; }

/// Everything that a run needs while it steps; built in the order of the members.
class TrainingRun {
 public:
  TrainingRun(const JobSettings& job, RunDirectory& directory, const Corpora& corpora, const RunRehearsal& plan,
              const TrainingHooks& hooks, double flop_ceiling)
      : job_(job),
        directory_(directory),
        corpora_(corpora),
        plan_(plan),
        hooks_(hooks),
        flop_ceiling_(flop_ceiling),
        runtime_(plan.device, plan.capacity()),
        trainer_(job) {}

  void begin(int64_t step) {
    if (std::filesystem::exists(products_file())) use_product_choices(MappedFile(products_file()).view());
    if (step > 0)
      read_snapshot(directory_.checkpoint(step), trainer_);
    else
      trainer_.initialize();
    first_step_ = saved_step_ = step;
  }

  TrainingOutcome run() {
    RunLog log(directory_.path(), first_step_, job_.log.tensorboard);
    log_ = &log;
    log.start(first_step_, plan_.parameters, plan_.capacity(), plan_.largest().rehearsal.at_peak);
    data::TokenLoader loader = corpora_.loader(job_, first_step_);
    ProgressLine progress(job_, first_step_, plan_.capacity());
    Clock::time_point start = Clock::now();
    int64_t step = first_step_, last = job_.training.steps;
    while (step < last && !interrupted()) {
      launch(++step, loader);
      report_all_but(pauses_after(step) ? 0 : kStepsAhead, loader, progress);
      if (due(step, job_.evaluation.every, last)) evaluate(step, progress);
      if (hooks_.sample && due(step, job_.sample.every, job_.sample.every > 0 ? last : 0)) sample(step, progress);
      if (due(step, job_.save.every, last)) save(step);
    }
    report_all_but(0, loader, progress);
    if (step != saved_step_) save(step);
    log.end(step, step < last ? "interrupted" : "finished", loader.waited_seconds(), seconds_since(start));
    return {step, step < last};
  }

 private:
  /// A step that has been launched, and may be running.
  struct Launched {
    int64_t step;
    double learning_rate;
    std::vector<data::Batch> batches;
    LateValue<UpdateValues> update;
    Clock::time_point start;
  };
  static constexpr size_t kStepsAhead = 1;  ///< launched while another runs, so that a GPU never waits for the host

  void launch(int64_t step, data::TokenLoader& loader);
  void report_all_but(size_t left, const data::TokenLoader& loader, ProgressLine& progress);
  void report(Launched& launched, const data::TokenLoader& loader, ProgressLine& progress);
  void handle_trouble(const Launched& launched, const UpdateValues& values, const data::TokenLoader& loader);
  bool pauses_after(int64_t step) const;
  /// Which algorithms a GPU's products use: another would round otherwise, so a resumed run takes the same.
  std::string products_file() const { return directory_.file("products.txt"); }
  void evaluate(int64_t step, ProgressLine& progress);
  void sample(int64_t step, ProgressLine& progress);
  void save(int64_t step);

  const JobSettings& job_;
  RunDirectory& directory_;
  const Corpora& corpora_;
  const RunRehearsal& plan_;
  const TrainingHooks& hooks_;
  double flop_ceiling_;
  Runtime runtime_;
  Trainer trainer_;
  RunLog* log_ = nullptr;
  int64_t first_step_ = 0, saved_step_ = 0;
  std::deque<Launched> launched_;
  Clock::time_point reported_;  ///< when the last report was made
};

const char* reason(Verdict verdict) {
  switch (verdict) {
    case Verdict::applied:
      return "";
    case Verdict::not_finite:
      return "the loss or a gradient is not finite";
    case Verdict::loss_spike:
      return "the loss is far above its average";
    case Verdict::norm_spike:
      return "the norm of the gradients is far above its average";
  }
  throw InternalError("an unknown verdict");
}

void TrainingRun::launch(int64_t step, data::TokenLoader& loader) {
  Launched launched{.step = step, .start = Clock::now()};
  for (int64_t i = 0; i < job_.training.accumulation; ++i) launched.batches.push_back(loader.next());
  launched.learning_rate =
      job_.optimizer.adamw.learning_rate * learning_rate_factor(job_.schedule, step - 1, job_.training.steps);
  replay(plan_.of("step").placement, [&] { trainer_.step(launched.batches, launched.learning_rate); });
  launched.update = trainer_.late_update();
  launched_.push_back(std::move(launched));
}

/// Whether something else than a step comes next, for which all reports must have been made: on a CPU always, whose
/// steps are over when they are launched.
bool TrainingRun::pauses_after(int64_t step) const {
  int64_t last = job_.training.steps;
  return !runtime_.accelerator || due(step, job_.evaluation.every, last) || due(step, job_.save.every, last) ||
         (job_.sample.every > 0 && due(step, job_.sample.every, last));
}

void TrainingRun::report_all_but(size_t left, const data::TokenLoader& loader, ProgressLine& progress) {
  while (launched_.size() > left) {
    Launched first = std::move(launched_.front());
    launched_.pop_front();
    report(first, loader, progress);
  }
}

void TrainingRun::report(Launched& launched, const data::TokenLoader& loader, ProgressLine& progress) {
  UpdateValues values = launched.update.get().value();
  double seconds = seconds_since(std::max(launched.start, reported_));
  reported_ = Clock::now();
  StepReport report{.step = launched.step,
                    .loss = values.loss,
                    .learning_rate = launched.learning_rate,
                    .gradient_norm = values.gradient_norm,
                    .seconds = seconds,
                    .tokens_per_second = double(job_.tokens_per_step()) / seconds,
                    .flop_use = double(plan_.model_flops(job_)) / seconds / flop_ceiling_,
                    .tokens = launched.step * job_.tokens_per_step(),
                    .left_out = reason(values.verdict)};
  log_->step(report);
  progress.step(report);
  if (values.verdict != Verdict::applied) handle_trouble(launched, values, loader);
}

/// Steps that were launched after one that stops the run have left the weights as they are (UpdateState).
void TrainingRun::handle_trouble(const Launched& launched, const UpdateValues& values,
                                 const data::TokenLoader& loader) {
  bool nan = values.verdict == Verdict::not_finite;
  std::string where;
  for (const data::Batch& batch : launched.batches) where += (where.empty() ? "" : "; ") + loader.describe(batch);
  int64_t step = launched.step;
  std::string what = text("step ", step, ": ", reason(values.verdict), " (loss ", values.loss, ", gradient norm ",
                          values.gradient_norm, "); batch: ", where);
  if ((nan ? job_.training.on_nan : job_.training.on_spike) == OnTrouble::skip) {
    log_warning(what, "; its update was left out");
    return;
  }
  launched_.clear();
  if (step - 1 != saved_step_) save(step - 1);
  throw Error(text(what, "; the weights before it are saved. To go on without it: lathe train --resume ",
                   directory_.path(), " --set training.", nan ? "on_nan" : "on_spike", "=skip"));
}

void TrainingRun::evaluate(int64_t step, ProgressLine& progress) {
  if (corpora_.held_out().empty()) return;
  Clock::time_point start = Clock::now();
  EvaluationReport report{.step = step};
  double bytes = 0, nats = 0;
  for (const data::HeldOutStream& stream : corpora_.held_out()) {
    int64_t count = stream.batches(), asked = job_.evaluation.batches;
    if (asked > 0) count = std::min(count, asked);
    for (int64_t i = 0; i < count; ++i) {
      data::Batch batch = stream.batch(i);
      replay(plan_.of("evaluation").placement, [&] { nats += trainer_.score(batch).value(); });
      report.tokens += batch.target_count;
    }
    bytes += double(stream.bytes()) * double(count) / double(stream.batches());
  }
  report.loss = nats / double(std::max<int64_t>(report.tokens, 1));
  report.bits_per_byte = bytes > 0 ? nats / bytes / std::log(2.0) : 0;
  report.seconds = seconds_since(start);
  log_->evaluation(report);
  progress.evaluation(report);
}

void TrainingRun::sample(int64_t step, ProgressLine& progress) {
  std::vector<std::string> texts;
  replay(plan_.of("sample").placement, [&] { texts = hooks_.sample(trainer_, step); });
  for (size_t i = 0; i < texts.size(); ++i) {
    log_->sample(step, job_.sample.prompts[i], texts[i]);
    progress.sample(step, job_.sample.prompts[i], texts[i]);
  }
}

void TrainingRun::save(int64_t step) {
  Clock::time_point start = Clock::now();
  directory_.add_checkpoint(step, job_.save.keep_last, [&](const std::string& directory) {
    replay(plan_.of("save").placement,
           [&] { write_snapshot(directory, trainer_, step, corpora_.tokenizer_directory()); });
  });
  if (std::string choices = used_product_choices(); !choices.empty()) replace_file(products_file(), choices);
  saved_step_ = step;
  log_->saved(step, seconds_since(start), plan_.checkpoint_bytes);
}

/// The checkpoint to go on from, 0 for none, after reading all of it.
int64_t intact_step(RunDirectory& directory, bool use_previous) {
  std::vector<int64_t> steps = directory.steps();
  while (!steps.empty()) {
    try {
      verify_manifest(directory.checkpoint(steps.back()));
      directory.drop_after(steps.back());
      return steps.back();
    } catch (const Error& error) {
      if (!use_previous)
        throw Error(text(error.what(), "; to go on from the checkpoint before it: --resume ", directory.path(),
                         " --use-previous"));
      log_warning(error.what());
      steps.pop_back();
    }
  }
  return 0;
}

void require_disk_space(const JobSettings& job, const RunDirectory& directory, int64_t each) {
  int64_t there = int64_t(directory.steps().size());
  int64_t planned = job.save.every > 0 ? (job.training.steps + job.save.every - 1) / job.save.every : 1;
  int64_t kept = job.save.keep_last > 0 ? std::min(job.save.keep_last, planned) + 1 : planned;
  require_free_bytes(directory.path(), std::max<int64_t>(kept - there, 1) * each,
                     text(kept, " checkpoints of ", format_bytes(each)));
}

}  // namespace

TrainingOutcome run_training(const JobSettings& job, const TrainingOptions& options, const TrainingHooks& hooks) {
  TrainingPlan all = plan_training(job, planned_here(job.device()), hooks.sample);
  const RunRehearsal& plan = all.run;
  log_info(plan_summary(job, all), '\n', memory_table(all));
  require_fits(job, all, hooks.sample);
  Corpora corpora(job);
  RunDirectory directory(job.run);
  require(options.resume || directory.steps().empty(), job.run, " holds a run that reached step ",
          directory.steps().empty() ? 0 : directory.steps().back(), "; go on with `lathe train --resume ", job.run,
          "`, or choose another directory with --set run=...");
  int64_t step = options.resume ? intact_step(directory, options.use_previous) : 0;
  require_disk_space(job, directory, plan.checkpoint_bytes);
  replace_file(directory.file("job.toml"), print_settings(job, JobSettings::kFormat));
  TrainingRun run(job, directory, corpora, plan, hooks, all.ceilings.flops_per_second);
  run.begin(step);
  return run.run();
}

JobSettings read_run_job(const std::string& directory, const std::vector<std::string>& overrides) {
  std::string path = directory + "/job.toml";
  require(std::filesystem::exists(path), directory, " is no directory of a run: it has no job.toml");
  // Compared as written: filled in first, a changed shape would contradict what was filled in from the saved one.
  auto as_written = [&](const std::vector<std::string>& changes) {
    return read_settings<JobSettings>(settings_file(path, changes, JobSettings::kFormat));
  };
  require_same_run(as_written({}), as_written(overrides));
  JobSettings resumed = read_job(path, overrides);
  resumed.run = std::filesystem::absolute(directory).lexically_normal().string();
  return resumed;
}

}  // namespace lathe
