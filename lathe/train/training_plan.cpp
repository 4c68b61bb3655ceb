#include "lathe/train/training_plan.h"

#include <algorithm>
#include <iomanip>

#include "lathe/base/memory_info.h"
#include "lathe/base/numbers.h"
#include "lathe/base/text_table.h"
#include "lathe/plan/ceilings.h"
#include "lathe/plan/timeline.h"
#include "lathe/train/advice.h"
#include "lathe/train/corpora.h"

namespace lathe {
namespace {

int64_t bytes_of(const data::Batch& batch) {
  return int64_t((batch.tokens.size() + batch.targets.size() + batch.positions.size()) * sizeof(int32_t) +
                 batch.sequence_offsets.size() * sizeof(int32_t) + batch.sequence_ids.size() * sizeof(int64_t) +
                 batch.rows.size() * sizeof(data::Batch::Row));
}

std::vector<size_t> purposes_in(const RunRehearsal& run) {
  std::vector<size_t> purposes;
  for (size_t i = 0; i < kPurposes; ++i) {
    bool used = run.by_purpose[i] > 0;
    for (const auto& episode : run.episodes) used |= episode.rehearsal.at_peak[i] > 0;
    if (used) purposes.push_back(i);
  }
  return purposes;
}

void add_memory_row(TextTable& table, const std::string& name, const std::vector<size_t>& purposes,
                    const BytesByPurpose& bytes) {
  std::vector<std::string> row = {name};
  int64_t total = 0;
  for (int64_t part : bytes) total += part;
  for (size_t purpose : purposes) row.push_back(bytes[purpose] ? format_bytes(bytes[purpose]) : "-");
  row.push_back(format_bytes(total));
  table.add(std::move(row));
}

std::string pieces_text(const RunRehearsal& run) {
  constexpr size_t kShown = 6;
  TextTable table;
  std::vector<PeakPiece> pieces = pieces_at_peak(run.largest().rehearsal);
  int64_t others = 0;
  for (size_t i = 0; i < pieces.size(); ++i) {
    const PeakPiece& piece = pieces[i];
    if (i < kShown)
      table.add({name_of(piece.purpose), format_count(piece.count), "x", format_bytes(piece.bytes), "=",
                 format_bytes(piece.count * piece.bytes)});
    else
      others += piece.count * piece.bytes;
  }
  if (others > 0) table.add({"others", "", "", "", "", format_bytes(others)});
  return text("Above what is kept, the peak of a ", run.largest().name, " holds:\n", table.text());
}

std::string work_text(const JobSettings& job, const TrainingPlan& plan) {
  TextTable table;
  table.add({"phase", "kernels", "GFLOP", "GB moved", "estimate"});
  auto row = [&](const PhaseWork& work) {
    table.add({work.name, format_count(work.kernels), format_fixed(double(work.flops) / 1e9, 1),
               format_fixed(double(work.bytes) / 1e9, 2), format_duration(work.seconds)});
  };
  PhaseWork all{.name = "step"};
  for (const PhaseWork& work : work_by_phase(plan.run.of("step"), plan.ceilings)) {
    if (!work.name.empty()) row(work);  // before the first phase, scalars are set
    all = {all.name, all.kernels + work.kernels, all.flops + work.flops, all.bytes + work.bytes,
           all.seconds + work.seconds};
  }
  row(all);
  double model = double(plan.run.model_flops(job)), rate = double(job.tokens_per_step()) / all.seconds;
  return text("Work of a step; the model's own are ", format_fixed(model / 1e9, 1), " GFLOP, computing again adds ",
              format_fixed(100 * (double(all.flops) / model - 1), 1), "%:\n", table.text(),
              "The time is an estimate: what this machine does at best, ",
              format_fixed(plan.ceilings.flops_per_second / 1e9, 0), " GFLOP/s in ", name_of(job.compute()), " and ",
              format_fixed(plan.ceilings.bytes_per_second / 1e9, 1),
              " GB/s as just measured. Real steps take longer.\nAt best ",
              rate < 100 ? format_fixed(rate, 3) : format_short_count(rate), " tokens/s, ",
              format_duration(all.seconds * double(job.training.steps)), " for the run.\n");
}

}  // namespace

HostMemory host_memory(const JobSettings& job) {
  int64_t made = loader_prefetch(job) + 1, used = job.training.accumulation;  // one waits in the producer's hand
  int64_t keys = job.tokens_per_micro_batch() * int64_t(sizeof(int64_t));
  return {process_memory().anonymous, (made + used) * bytes_of(blank_batch(job)) + keys};
}

double TrainingPlan::seconds_per_step() const {
  double seconds = 0;
  for (const RehearsedPhase& phase : run.of("step").phases) seconds += roofline_seconds(phase, ceilings);
  return seconds;
}

TrainingPlan plan_training(const JobSettings& job, int64_t budget, const SampleHook& sample) {
  TrainingPlan plan;
  plan.ceilings = measured_ceilings(job.compute());
  plan.run = rehearse_run(job, sample);
  plan.host = host_memory(job);
  plan.budget = budget;
  return plan;
}

std::string plan_summary(const JobSettings& job, const TrainingPlan& plan) {
  return text(format_short_count(double(plan.run.parameters)), " parameters, ", format_count(job.tokens_per_step()),
              " tokens a step, ", format_count(job.training.steps), " steps");
}

std::string memory_table(const TrainingPlan& plan) {
  const RunRehearsal& run = plan.run;
  std::vector<size_t> purposes = purposes_in(run);
  TextTable table;
  std::vector<std::string> head = {"peak of"};
  for (size_t purpose : purposes) head.push_back(name_of(Purpose(purpose)));
  head.push_back("sum");
  table.add(std::move(head));
  for (const auto& episode : run.episodes) add_memory_row(table, episode.name, purposes, episode.rehearsal.at_peak);
  add_memory_row(table, "kept between", purposes, run.by_purpose);
  TextTable sums;
  int64_t gaps = run.capacity() - run.largest().rehearsal.peak;
  sums.add({text("tensors, at the peak of a ", run.largest().name), format_bytes(run.largest().rehearsal.peak)});
  sums.add({"gaps between them", format_bytes(gaps)});
  sums.add({"batches of the data loader", format_bytes(plan.host.batches)});
  sums.add({"program and libraries, as measured", format_bytes(plan.host.process)});
  sums.add({"needed", format_bytes(plan.needed())});
  sums.add({text("budget: it ", plan.fits() ? "fits" : "does not fit"), format_bytes(plan.budget)});
  return text("Memory:\n", table.text(), "\n", sums.text());
}

std::string plan_text(const JobSettings& job, const TrainingPlan& plan) {
  const JobSettings& j = job;
  return text(plan_summary(job, plan), "\n", format_count(plan.run.parameters), " weights; ", j.training.accumulation,
              " x ", j.training.micro_batch, " sequences of ", format_count(j.training.sequence_length),
              " tokens a step, ", name_of(job.compute()), "; a checkpoint takes ",
              format_bytes(plan.run.checkpoint_bytes), " on disk\n\n", memory_table(plan), "\n", pieces_text(plan.run),
              "\nLive memory over the last micro-batch of a step:\n",
              draw_timeline(timeline(plan.run.of("step"), plan.run.by_purpose, 20)), "\n", work_text(job, plan));
}

void require_fits(const JobSettings& job, const TrainingPlan& plan, const SampleHook& sample) {
  if (plan.fits()) return;
  throw Error(text("the run needs ", format_bytes(plan.needed()), " but ", format_bytes(plan.budget),
                   " are available here. ", advice_text(advise(job, plan, sample)), "\n", memory_table(plan)));
}

}  // namespace lathe
