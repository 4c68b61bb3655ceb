// One training run without its files: what bench/training.py times beside PyTorch, on the same weights and batches.
// usage: training_bench JOB TEXT FOLDER STEPS [section.field=value ...]
// TEXT is a text file, or a directory that `lathe data prepare` wrote. Writes FOLDER/config.json, model.safetensors
// (the weights before step 1), batches.i32 ([steps, micro-batches, rows, sequence_length + 1] tokens) and job.json for
// the peer, nothing where FOLDER is "-"; prints one JSON object with losses, seconds and memory.
#include <chrono>
#include <deque>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>
#include <numeric>

#include "lathe/base/durable_file.h"
#include "lathe/base/memory_info.h"
#include "lathe/base/text_input.h"
#include "lathe/data/token_shards.h"
#include "lathe/files/model_config.h"
#include "lathe/files/tensor_files.h"
#include "lathe/tokenize/trainer.h"
#include "lathe/train/rehearsal.h"

namespace lathe {
namespace {

using Clock = std::chrono::steady_clock;
double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

/// The tokens of a prepared corpus; a text's in a byte-level BPE of its own, as large as the model's vocabulary.
std::vector<TokenId> tokens_of(const std::string& path, int64_t vocabulary) {
  if (std::filesystem::is_directory(path)) {
    data::TokenShards shards(path);
    shards.require_vocabulary(vocabulary);
    std::vector<int32_t> tokens(size_t(shards.train().tokens()));
    shards.train().read(0, tokens);
    return {tokens.begin(), tokens.end()};
  }
  TokenizerTrainer trainer({.vocabulary_size = vocabulary});
  trainer.add_file(path);
  return trainer.train().encode(read_text(path));
}

/// Stretches of `text` that follow each other.
class Batches {
 public:
  Batches(const JobSettings& job, std::vector<TokenId> text, const std::string& folder)
      : job_(job), text_(std::move(text)) {
    if (folder != "-") file_.open(folder + "/batches.i32", std::ios::binary);
  }

  std::vector<data::Batch> next() {
    std::vector<data::Batch> batches(size_t(job_.training.accumulation), blank_batch(job_));
    for (data::Batch& batch : batches)
      for (int64_t row = 0; row < job_.training.micro_batch; ++row) fill(batch, row);
    return batches;
  }

 private:
  const JobSettings& job_;
  std::vector<TokenId> text_;
  std::ofstream file_;
  size_t at_ = 0;

  void fill(data::Batch& batch, int64_t row) {
    size_t length = size_t(job_.training.sequence_length), first = size_t(row) * length;
    require(text_.size() > length, "the text has ", text_.size(), " tokens, fewer than a row");
    if (at_ + length + 1 > text_.size()) at_ = 0;
    for (size_t i = 0; i < length; ++i) {
      batch.tokens[first + i] = int32_t(text_[at_ + i]);
      batch.targets[first + i] = int32_t(text_[at_ + i + 1]);
    }
    std::vector<int32_t> written(text_.begin() + ptrdiff_t(at_), text_.begin() + ptrdiff_t(at_ + length + 1));
    file_.write(reinterpret_cast<const char*>(written.data()), std::streamsize(4 * written.size()));
    at_ += length;
  }
};

void write_peer_files(const JobSettings& job, Trainer& trainer, int64_t steps, const std::string& folder) {
  replace_file(folder + "/config.json", model_config_json(job.model, DType::f32));
  save_tensors(folder, tensor_sources(trainer.inventory(), DType::f32), INT64_MAX);
  nlohmann::json rates;
  for (int64_t step = 0; step < steps; ++step)
    rates.push_back(job.optimizer.adamw.learning_rate * learning_rate_factor(job.schedule, step, job.training.steps));
  nlohmann::json json = {{"steps", steps},
                         {"accumulation", job.training.accumulation},
                         {"micro_batch", job.training.micro_batch},
                         {"sequence_length", job.training.sequence_length},
                         {"bf16", job.compute() == DType::bf16},
                         {"learning_rates", rates},
                         {"betas", {job.optimizer.adamw.beta1, job.optimizer.adamw.beta2}},
                         {"epsilon", job.optimizer.adamw.epsilon},
                         {"weight_decay", job.optimizer.adamw.weight_decay},
                         {"clip_norm", job.optimizer.clip_norm}};
  replace_file(folder + "/job.json", json.dump());
}

/// Seconds and FLOPs of each kernel, most expensive first, on stderr.
class Profile {
 public:
  void attach(Runtime& runtime) {
    runtime.on_kernel = [this](std::string_view kernel, Work work, double seconds) {
      Row& row = rows_[std::string(kernel)];
      row.seconds += seconds;
      row.flops += double(work.flops);
      row.bytes += double(work.bytes);
      ++row.calls;
    };
  }
  void print(double steps) const {
    std::vector<std::pair<std::string, Row>> rows(rows_.begin(), rows_.end());
    std::sort(rows.begin(), rows.end(), [](auto& a, auto& b) { return a.second.seconds > b.second.seconds; });
    for (const auto& [name, row] : rows)
      fprintf(stderr, "%-28s %8.1f ms/step %7.1f GFLOP/s %6.1f GB/s %6.0f calls\n", name.c_str(),
              1e3 * row.seconds / steps, 1e-9 * row.flops / row.seconds, 1e-9 * row.bytes / row.seconds,
              double(row.calls) / steps);
  }

 private:
  struct Row {
    double seconds = 0, flops = 0, bytes = 0;
    int64_t calls = 0;
  };
  std::map<std::string, Row> rows_;
};

/// Steps one after another as a training run makes them: on a GPU one is launched while the one before it runs.
class Steps {
 public:
  std::vector<double> losses, seconds;

  Steps(Trainer& trainer, const RunRehearsal& plan)
      : trainer_(trainer), plan_(plan), ahead_(Runtime::current().accelerator ? 1 : 0) {}

  void step(const std::vector<data::Batch>& batches, double learning_rate) {
    if (launched_.empty()) reported_ = Clock::now();
    replay(plan_.of("step").placement, [&] { trainer_.step(batches, learning_rate); });
    launched_.push_back(trainer_.late_update());
    if (launched_.size() > ahead_) report();
  }
  void finish() {
    while (!launched_.empty()) report();
  }

 private:
  Trainer& trainer_;
  const RunRehearsal& plan_;
  size_t ahead_;
  std::deque<LateValue<UpdateValues>> launched_;
  Clock::time_point reported_;

  void report() {
    losses.push_back(launched_.front().get().value().loss);
    launched_.pop_front();
    seconds.push_back(seconds_since(std::exchange(reported_, Clock::now())));
  }
};

int run(const std::vector<std::string>& arguments) {
  require(arguments.size() >= 4, "usage: training_bench JOB TEXT FOLDER STEPS [section.field=value ...]");
  Clock::time_point start = Clock::now();
  const std::string &text = arguments[1], &folder = arguments[2];
  int64_t steps = std::stoll(arguments[3]);
  JobSettings job = read_job(arguments[0], {arguments.begin() + 4, arguments.end()});
  if (folder != "-") std::filesystem::create_directories(folder);
  Batches batches(job, tokens_of(text, job.model.vocab_size), folder);
  double preparing = seconds_since(start);
  RunRehearsal plan = rehearse_run(job);
  Runtime runtime(plan.device, plan.capacity());
  Trainer trainer(job);
  trainer.initialize();
  double ready = seconds_since(start) - preparing;
  if (folder != "-") write_peer_files(job, trainer, steps, folder);
  Profile profile;
  if (std::getenv("LATHE_PROFILE")) profile.attach(runtime);
  Steps run(trainer, plan);
  for (int64_t step = 0; step < steps; ++step) {
    run.step(batches.next(),
             job.optimizer.adamw.learning_rate * learning_rate_factor(job.schedule, step, job.training.steps));
    if (step == 0) profile = {};  // its pages are new
  }
  run.finish();
  if (runtime.on_kernel) profile.print(double(steps - 1));
  std::cout << nlohmann::json{{"losses", run.losses},
                              {"seconds", run.seconds},
                              {"start_seconds", ready},
                              {"tokens_per_step", job.tokens_per_step()},
                              {"planned_bytes", plan.capacity()},
                              {"arena_bytes", runtime.arena.use().reserved},
                              {"anonymous_bytes", process_memory().anonymous},
                              {"peak_bytes", process_memory().peak}}
                   .dump()
            << '\n';
  return 0;
}

}  // namespace
}  // namespace lathe

int main(int argc, char** argv) {
  try {
    return lathe::run({argv + 1, argv + argc});
  } catch (const std::exception& error) {
    std::cerr << "training_bench: " << error.what() << '\n';
    return 1;
  }
}
