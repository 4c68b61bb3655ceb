#include "lathe/train/training_plan.h"

#include <algorithm>
#include <iomanip>

#include "lathe/base/memory_info.h"
#include "lathe/base/numbers.h"
#include "lathe/base/text_table.h"
#include "lathe/plan/ceilings.h"
#include "lathe/plan/kernel_rates.h"
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

/// A step waits in the queue of a GPU while another one runs, each with pinned memory of its own (Graphs).
constexpr int64_t kStepsInFlight = 2;

/// Pinned memory for all that an episode uploads.
int64_t staged_bytes(const Rehearsal& rehearsal) {
  int64_t bytes = 0;
  for (const RehearsedPhase& phase : rehearsal.phases)
    for (const KernelWork& k : phase.kernels)
      if (k.kernel == "upload") bytes += k.calls * ((k.work.bytes / 2 + 255) / 256 * 256);  // read and written
  return bytes;
}

double step_seconds(const RunRehearsal& run, const CallSeconds& estimate) {
  double seconds = 0;
  for (const RehearsedPhase& phase : run.of("step").phases) seconds += seconds_of(phase, estimate);
  return seconds;
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

/// What the times rest on.
std::string basis_text(const JobSettings& job, const TrainingPlan& plan) {
  double flops = plan.ceilings.flops_per_second, bytes = plan.ceilings.bytes_per_second;
  const char* dtype = name_of(job.compute());
  if (!plan.on.gpu())
    return text("The time is an estimate: what this machine does at best, ", format_fixed(flops / 1e9, 0),
                " GFLOP/s in ", dtype, " and ", format_fixed(bytes / 1e9, 1),
                " GB/s as just measured. Real steps take longer.\nAt best ");
  bool sheet = plan.on.profile.estimate();
  return text("The time is an estimate from ", sheet ? "a data sheet" : "measured rates of kernels", ": at best ",
              format_fixed(flops / 1e12, 0), " TFLOP/s in ", dtype, " and ", format_fixed(bytes / 1e9, 0), " GB/s",
              sheet ? ", and each kernel as near to that as on an H200" : "", ".\nAbout ");
}

std::string work_text(const JobSettings& job, const TrainingPlan& plan) {
  TextTable table;
  table.add({"phase", "kernels", "GFLOP", "GB moved", "estimate"});
  auto row = [&](const PhaseWork& work) {
    table.add({work.name, format_count(work.kernels), format_fixed(double(work.flops) / 1e9, 1),
               format_fixed(double(work.bytes) / 1e9, 2), format_duration(work.seconds)});
  };
  PhaseWork all{.name = "step"};
  for (const PhaseWork& work : work_by_phase(plan.run.of("step"), plan.estimate)) {
    if (!work.name.empty()) row(work);  // before the first phase, scalars are set
    all = {all.name, all.kernels + work.kernels, all.flops + work.flops, all.bytes + work.bytes,
           all.seconds + work.seconds};
  }
  row(all);
  double model = double(plan.run.model_flops(job)), rate = double(job.tokens_per_step()) / all.seconds;
  return text("Work of a step; the model's own are ", format_fixed(model / 1e9, 1), " GFLOP, computing again adds ",
              format_fixed(100 * (double(all.flops) / model - 1), 1), "%:\n", table.text(), basis_text(job, plan),
              rate < 100 ? format_fixed(rate, 3) : format_short_count(rate), " tokens/s, ",
              format_duration(all.seconds * double(job.training.steps)), " for the run.\n");
}

const char* verdict(bool fits) { return fits ? "it fits" : "it does not fit"; }

void add_host_rows(TextTable& sums, const HostMemory& host) {
  sums.add({"batches of the data loader", format_bytes(host.batches)});
  if (host.staging) sums.add({"uploads, and the largest weight when saved", format_bytes(host.staging)});
  sums.add({"program and libraries, as measured", format_bytes(host.process)});
  if (host.driver) sums.add({"the GPU's driver and libraries", format_bytes(host.driver)});
}

/// What lies outside the tensors, the sum and the budget: on a CPU one, on a GPU the device's and the host's.
std::string sums_text(const TrainingPlan& plan) {
  const RunRehearsal& run = plan.run;
  TextTable sums, host;
  sums.add({text("tensors, at the peak of a ", run.largest().name), format_bytes(run.largest().rehearsal.peak)});
  sums.add({"gaps between them", format_bytes(run.capacity() - run.largest().rehearsal.peak)});
  if (plan.on.gpu())
    sums.add({text("CUDA's context, kernels and libraries", plan.on.profile.estimate() ? " (estimate)" : ""),
              format_bytes(plan.on.profile.outside())});
  else
    add_host_rows(sums, plan.host);
  sums.add({"needed", format_bytes(plan.needed())});
  sums.add({text("budget: ", verdict(plan.needed() <= plan.on.budget)), format_bytes(plan.on.budget)});
  if (!plan.on.gpu()) return sums.text();
  add_host_rows(host, plan.host);
  host.add({"needed on the host", format_bytes(plan.host_needed())});
  host.add({text("budget of the host: ", verdict(plan.host_needed() <= plan.on.host_budget)),
            format_bytes(plan.on.host_budget)});
  return text(sums.text(), "\n", host.text());
}

/// The GPU of the plan, and where its numbers are from.
std::string device_text(const PlannedDevice& on) {
  if (!on.gpu()) return "";
  return text("For ", on.here ? on.device.name() + ", " : "", on.profile.name, " (", on.profile.architecture, "), ",
              on.profile.estimate() ? "an estimate from the " : "", on.profile.source, "\n");
}

}  // namespace

HostMemory host_memory(const JobSettings& job, const RunRehearsal& run, const PlannedDevice& on) {
  int64_t made = loader_prefetch(job) + 1, used = job.training.accumulation;  // one waits in the producer's hand
  if (on.gpu()) used *= kStepsInFlight;
  int64_t keys = job.tokens_per_micro_batch() * int64_t(sizeof(int64_t));
  HostMemory host{.process = process_memory().anonymous, .batches = (made + used) * bytes_of(blank_batch(job)) + keys};
  if (!on.gpu()) return host;
  if (!on.here) host.driver = on.profile.host;
  int64_t rounds = job.training.accumulation;  // the rehearsal may have had fewer
  host.staging = kStepsInFlight * (rounds + 1) * staged_bytes(run.of("evaluation")) + run.largest_parameter;
  return host;
}

int64_t TrainingPlan::needed() const { return run.capacity() + (on.gpu() ? on.profile.outside() : host.total()); }

double TrainingPlan::seconds_per_step() const { return step_seconds(run, estimate); }

double estimated_step_seconds(const JobSettings& job, const CallSeconds& estimate) {
  return step_seconds(rehearse_run(job), estimate);
}

void require_computes(const PlannedDevice& on, const JobSettings& job) {
  require(!on.gpu() || computes_in(on.profile, job.compute()), on.profile.name, " (", on.profile.architecture,
          ") does not compute in ", name_of(job.compute()),
          ", which GPUs do from sm_80 on; train in f32, with --set training.dtype=f32");
}

void require_multiplies(const PlannedDevice& on, const RunRehearsal& run) {
  if (!on.gpu() || multiplies_fp8(on.profile)) return;
  for (const RehearsedPhase& phase : run.of("step").phases)
    for (const KernelWork& k : phase.kernels)
      require(k.kernel.find("fp8") == std::string::npos, on.profile.name, " (", on.profile.architecture,
              ") does not multiply in fp8, which GPUs do from sm_89 on; leave fp8 out");
}

TrainingPlan plan_training(const JobSettings& job, const PlannedDevice& on, const SampleHook& sample) {
  require_computes(on, job);
  TrainingPlan plan;
  plan.on = on;
  plan.ceilings = on.gpu() ? on.profile.ceilings(job.compute()) : measured_ceilings(job.compute());
  plan.estimate = on.gpu() ? at_rates(on.profile, {job.compute(), job.model.head_dim}) : at_ceilings(plan.ceilings);
  plan.run = rehearse_run(job, sample, on.device);
  require_multiplies(on, plan.run);
  plan.host = host_memory(job, plan.run, on);
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
  return text("Memory:\n", table.text(), "\n", sums_text(plan));
}

std::string plan_text(const JobSettings& job, const TrainingPlan& plan) {
  const JobSettings& j = job;
  return text(plan_summary(job, plan), "\n", device_text(plan.on), format_count(plan.run.parameters), " weights; ",
              j.training.accumulation, " x ", j.training.micro_batch, " sequences of ",
              format_count(j.training.sequence_length), " tokens a step, ", name_of(job.compute()),
              "; a checkpoint takes ", format_bytes(plan.run.checkpoint_bytes), " on disk\n\n", memory_table(plan),
              "\n", pieces_text(plan.run), "\nLive memory over the last micro-batch of a step:\n",
              draw_timeline(timeline(plan.run.of("step"), plan.run.by_purpose, 20)), "\n", work_text(job, plan));
}

void require_fits(const JobSettings& job, const TrainingPlan& plan, const SampleHook& sample) {
  if (plan.fits()) return;
  const PlannedDevice& on = plan.on;
  bool device = plan.needed() > on.budget;
  throw Error(text("the run needs ", format_bytes(device ? plan.needed() : plan.host_needed()),
                   device ? text(on.gpu() ? " on " + on.device.name() : "") : " of the host's memory", " but ",
                   format_bytes(device ? on.budget : on.host_budget), " are available here. ",
                   advice_text(advise(job, plan, sample)), "\n", memory_table(plan)));
}

}  // namespace lathe
