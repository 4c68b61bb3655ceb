#pragma once

#include <string>
#include <vector>

#include "lathe/base/settings.h"
#include "lathe/data/batch.h"
#include "lathe/models/config.h"
#include "lathe/optim/adamw.h"
#include "lathe/optim/schedule.h"

namespace lathe {

/// What a training run does: a job file with defaults for everything. Fields are declared in job.cpp.
struct TokenizerSettings {
  std::string path;  ///< tokenizer.json or its directory; empty: the copy beside the first corpus
  std::string kind = "gpt2";
  int64_t vocab_size = 0;  ///< to train one; 0: the model's
  int64_t min_frequency = 2;
  std::vector<std::string> special_tokens = {"<|endoftext|>"};
};

struct CorpusSettings {
  std::string path;               ///< a directory that `lathe data prepare` wrote, or writes
  double weight = 0;              ///< share of the rows; 0 for all corpora: by their sizes
  std::vector<std::string> text;  ///< what it is prepared from when it is not there: files, directories, globs
  std::string text_field = "text";
  std::string document_separator;
  double held_out = 0.01;  ///< share of the text that is not trained on
};

struct DataSettings {
  std::vector<CorpusSettings> corpora;
  data::Packing packing = data::Packing::concatenated;
};

struct OptimizerSettings {
  AdamWSettings adamw;
  double clip_norm = 1;  ///< 0: none
};

/// What to do about an update that would harm.
enum class OnTrouble : uint8_t { stop, skip, ignore };

struct TrainingSettings {
  enum class Compute : uint8_t { automatic, f32, bf16 };
  enum class Checkpoint : uint8_t { none, selective, block };
  enum class Matmul : uint8_t { dtype, fp8 };
  int64_t steps = 1000;
  int64_t tokens = 0;           ///< instead of steps; 0: as `steps` says
  int64_t micro_batch = 8;      ///< sequences in one forward and backward pass
  int64_t accumulation = 1;     ///< micro-batches in a step
  int64_t sequence_length = 0;  ///< 0: max_position_embeddings
  std::string device = "auto";  ///< as choose_device() takes it
  Compute dtype = Compute::automatic;
  Matmul matmul = Matmul::dtype;  ///< what the products of the layers' weights go through
  Checkpoint checkpoint = Checkpoint::none;
  uint64_t seed = 1;
  OnTrouble on_nan = OnTrouble::stop;
  OnTrouble on_spike = OnTrouble::ignore;
  double loss_spike = 2;   ///< times the running average of the loss
  double norm_spike = 10;  ///< times the running average of the gradients' norm
  int64_t loss_rows = 0;   ///< rows of logits that exist at a time; 0: chosen by the vocabulary
};

struct EvaluationSettings {
  int64_t every = 0;     ///< steps; 0: only after the last one
  int64_t batches = 20;  ///< of micro_batch sequences; 0: all that is held out
};

struct SampleSettings {
  int64_t every = 0;  ///< steps; 0: never
  std::vector<std::string> prompts = {""};
  int64_t max_new_tokens = 64;
  double temperature = 0.8;
  double top_p = 0.95;
};

struct SaveSettings {
  int64_t every = 0;      ///< steps; 0: only after the last one, and when interrupted
  int64_t keep_last = 2;  ///< checkpoints; 0: all
};

struct LogSettings {
  int64_t every = 10;  ///< steps from one progress line to the next; the files hold every step
  bool tensorboard = true;
};

struct JobSettings {
  static constexpr int kFormat = 1;

  std::string run;  ///< the run's directory
  ModelConfig model;
  TokenizerSettings tokenizer;
  DataSettings data;
  OptimizerSettings optimizer;
  ScheduleSettings schedule;
  TrainingSettings training;
  EvaluationSettings evaluation;
  SampleSettings sample;
  SaveSettings save;
  LogSettings log;

  int64_t tokens_per_micro_batch() const { return training.micro_batch * training.sequence_length; }
  int64_t tokens_per_step() const { return tokens_per_micro_batch() * training.accumulation; }
  DType compute() const;
  Device device() const;  ///< throws Error when it is not there
};

void describe(Section& section, JobSettings& job);
void describe(Section& section, ModelConfig& model);

/// A job file with overrides ("optimizer.learning_rate=3e-4"), everything that depends on something else filled in: the
/// model's defaults, sequence_length, steps, dtype. Throws Error naming every field that is wrong, and fields that
/// contradict each other.
JobSettings read_job(const std::string& path, const std::vector<std::string>& overrides = {});

/// Fills in what depends on something else, as read_job does.
JobSettings resolved(JobSettings job);

/// Throws Error naming the first field that may not change when a run is resumed, and both values.
void require_same_run(const JobSettings& saved, const JobSettings& resumed);

}  // namespace lathe
