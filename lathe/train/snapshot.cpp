#include "lathe/train/snapshot.h"

#include <array>
#include <bit>
#include <cstring>
#include <deque>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "lathe/base/durable_file.h"
#include "lathe/base/json.h"
#include "lathe/base/mapped_file.h"
#include "lathe/files/generation_config.h"
#include "lathe/files/model_config.h"
#include "lathe/files/tensor_files.h"
#include "lathe/models/family.h"
#include "lathe/tensor/transfer.h"
#include "lathe/tokenize/tokenizer.h"
#include "lathe/train/manifest.h"

namespace lathe {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr int kFormat = 1;
constexpr int64_t kLargestFile = int64_t{5} << 30;
constexpr const char* kState = "/training_state.json";
constexpr const char* kOptimizer = "/optimizer";

/// The moments as tensors that files can hold: laid out and named as the weights they belong to.
struct Moments {
  explicit Moments(AdamW& optimizer) {
    for (AdamW::Entry& entry : optimizer.entries()) {
      add("first.", *entry.parameter, entry.first);
      add("second.", *entry.parameter, entry.second);
    }
  }
  Inventory inventory;

 private:
  void add(const std::string& prefix, const Parameter& parameter, const Tensor& moment) {
    Stored& stored = stored_.emplace_back();
    stored.kept = moment;
    stored.slices = parameter.slices;
    for (Slice& slice : stored.slices) slice.name = prefix + slice.name;
    inventory.add(stored);
  }
  std::deque<Stored> stored_;
};

using Words = std::array<uint32_t, sizeof(UpdateValues) / sizeof(uint32_t)>;

std::string state_text(Trainer& trainer, int64_t step) {
  Words words{};
  UpdateValues values = trainer.last_update().value();
  std::memcpy(words.data(), &values, sizeof(words));
  return json{{"format", kFormat}, {"step", step}, {"update", words}}.dump(1) + "\n";
}

int64_t read_state(const std::string& path, Trainer& trainer) {
  MappedFile file(path);
  try {
    json state = parse_json(file.view(), path);
    int format = state.at("format").get<int>();
    require(format <= kFormat, path, ": format ", format, " is newer than ", kFormat, ", the newest this lathe reads");
    Words words = state.at("update").get<Words>();
    trainer.state().restore(std::bit_cast<UpdateValues>(words));
    return state.at("step").get<int64_t>();
  } catch (const json::exception& error) {
    throw Error(text(path, ": ", error.what()));
  }
}

void copy_tokenizer(const std::string& from, const std::string& to) {
  for (const char* name : {"tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"})
    if (std::string file = from + "/" + name; fs::exists(file)) replace_file(to + "/" + name, MappedFile(file).bytes());
}

/// Others know a model's tokens from its config.json, which names those of its tokenizer where the job names none. Like
/// a prompt of ours, a text begins with the end token where there is no other.
ModelConfig with_tokens_of(ModelConfig config, const Tokenizer& tokenizer) {
  auto fill = [](int64_t& id, std::optional<TokenId> token) {
    if (id < 0 && token) id = int64_t(*token);
  };
  fill(config.eos_token_id, tokenizer.end_token());
  fill(config.bos_token_id, tokenizer.begin_token());
  fill(config.bos_token_id, tokenizer.end_token());
  return config;
}

}  // namespace

void write_snapshot(const std::string& directory, Trainer& trainer, int64_t step, const std::string& tokenizer) {
  const JobSettings& job = trainer.job();
  fs::create_directories(directory + kOptimizer);
  ModelConfig config = tokenizer.empty() ? job.model : with_tokens_of(job.model, Tokenizer::load(tokenizer));
  replace_file(directory + "/config.json", model_config_json(config, DType::f32));
  replace_file(directory + "/generation_config.json", generation_config_json(config));
  replace_file(directory + "/job.toml", print_settings(job, JobSettings::kFormat));
  replace_file(directory + kState, state_text(trainer, step));
  if (!tokenizer.empty()) copy_tokenizer(tokenizer, directory);
  save_tensors(directory, tensor_sources(trainer.inventory(), DType::f32), kLargestFile);
  Moments moments(trainer.optimizer());
  save_tensors(directory + kOptimizer, tensor_sources(moments.inventory, DType::f32), kLargestFile);
  write_manifest(directory, step);
}

int64_t read_snapshot(const std::string& directory, Trainer& trainer) {
  load_tensors(trainer.inventory(), TensorFiles(directory), family_named(trainer.job().model.model_type).tensor_prefix);
  Moments moments(trainer.optimizer());
  load_tensors(moments.inventory, TensorFiles(directory + kOptimizer), "");
  return read_state(directory + kState, trainer);
}

int64_t snapshot_bytes(Trainer& trainer) {
  Moments moments(trainer.optimizer());
  return safetensors_bytes(tensor_sources(trainer.inventory(), DType::f32)) +
         safetensors_bytes(tensor_sources(moments.inventory, DType::f32));
}

}  // namespace lathe
