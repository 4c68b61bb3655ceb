#include <algorithm>
#include <filesystem>
#include <iostream>
#include <memory>

#include "lathe/base/durable_file.h"
#include "lathe/base/error.h"
#include "lathe/base/mapped_file.h"
#include "lathe/base/numbers.h"
#include "lathe/cli/command.h"
#include "lathe/cli/command_line.h"
#include "lathe/cli/model_argument.h"
#include "lathe/files/generation_config.h"
#include "lathe/files/gguf_model.h"
#include "lathe/files/model_card.h"
#include "lathe/files/model_config.h"
#include "lathe/files/peft_adapter.h"
#include "lathe/files/sentence_modules.h"
#include "lathe/models/family.h"
#include "lathe/tokenize/chat_template_files.h"
#include "lathe/tokenize/gguf_metadata.h"

namespace lathe::cli {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kLargestFile = int64_t{5} << 30;

constexpr const char* kHelp = R"(
OUT is written as a GGUF file when its name ends in .gguf, else as a directory in Hugging Face's form with
model.safetensors. It appears whole or not at all. Without --type, numbers keep the type that most of the model's
matrices have; where that is one that OUT cannot have, f32. As in llama.cpp, vectors, norms and positions of a GGUF file
stay f32, and the head of one in q4_0 or q4_1 has 8 bits. With --adapter a LoRA is added into the weights.

Examples:
  lathe convert models/SmolLM2 smollm2-q8_0.gguf --type q8_0
  lathe convert SmolLM2-135M-Instruct.Q4_1.gguf models/SmolLM2 --type bf16
  lathe convert runs/demo demo.gguf --type f16
  lathe convert models/SmolLM2 models/merged --adapter lora/)";

struct Arguments {
  std::string model, adapter, out, type;
  std::optional<int64_t> step;
};

GgmlType gguf_type(const Arguments& arguments, const TensorFiles& files) {
  std::string name = arguments.type.empty() ? main_type(files) : arguments.type;
  std::optional<GgmlType> type = ggml_type_named(name);
  bool written = type == GgmlType::f32 || type == GgmlType::f16 || type == GgmlType::bf16 || type == GgmlType::q8_0 ||
                 type == GgmlType::q4_0 || type == GgmlType::q4_1;
  return written ? *type : GgmlType::f32;
}

DType directory_type(const Arguments& arguments, const TensorFiles& files) {
  std::string name = arguments.type.empty() ? main_type(files) : arguments.type;
  if (name == "bf16" || name == "BF16") return DType::bf16;
  if (name == "f16" || name == "F16") return DType::f16;
  require(arguments.type.empty() || name == "f32", "--type ", name,
          ": a directory holds f32, f16 and bf16; name a file that ends in .gguf for others");
  return DType::f32;
}

/// What a directory says besides its tensors and shapes, as a GGUF file says it.
void describe_directory(const std::string& from, const ModelConfig& config, GgufMetadata& metadata) {
  ModelCard card = read_model_card(from);
  if (!card.name.empty()) metadata.set_string("general.name", card.name);
  if (!card.license.empty()) metadata.set_string("general.license", card.license);
  Tokenizer tokenizer = Tokenizer::load(from);
  try {
    add_gguf_tokenizer(tokenizer, config.vocab_size, metadata);
  } catch (const Error& error) {
    throw Error(text(from, ": ", error.what()));
  }
  GenerationConfig generation = read_generation_config(from);
  add_gguf_sampling(generation, metadata);
  std::vector<int64_t> ends = end_token_ids(config);
  ends.insert(ends.end(), generation.eos_token_ids.begin(), generation.eos_token_ids.end());
  add_gguf_end_tokens(ends, tokenizer.end_token() ? int64_t(*tokenizer.end_token()) : -1, metadata);
  if (auto chat = find_template_text(from)) metadata.set_string("tokenizer.chat_template", chat->text);
  if (auto modules = read_sentence_modules(from))
    add_gguf_sentence_modules(*modules, family_named(config.model_type).gguf->architecture, metadata);
}

/// All that another file says and `metadata` does not.
void keep_fields(const GgufFields& fields, GgufMetadata& metadata) {
  for (const GgufFields::Field& field : fields.all()) {
    bool of_form = field.key == "general.alignment" || field.key == "general.quantization_version" ||
                   field.key.starts_with("split.");
    if (std::string key(field.key); !of_form && !metadata.has(key)) metadata.set(key, field.value);
  }
}

/// Puts the adapter into the tensors of the model. Must outlive `files`.
std::unique_ptr<PeftAdapter> merged_adapter(const Arguments& arguments, const ModelConfig& config, TensorFiles& files) {
  if (arguments.adapter.empty()) return nullptr;
  auto adapter = std::make_unique<PeftAdapter>(arguments.adapter, config);
  adapter->merge_into(files);
  return adapter;
}

void write_gguf_model(const std::string& from, const Arguments& arguments) {
  TensorFiles files(from);
  ModelConfig config = read_model_config(from);
  const auto adapter = merged_adapter(arguments, config, files);
  GgmlType type = gguf_type(arguments, files);
  GgufMetadata metadata = gguf_metadata(config, type);
  if (is_gguf(from))
    keep_fields(GgufFile(from).fields(), metadata);
  else
    describe_directory(from, config, metadata);
  write_gguf(arguments.out, metadata, gguf_sources(files, config, type));
}

/// Whether a file says something that the tensors and config.json of a converted model say anew, or that only a run
/// has.
bool belongs_to_its_form(const std::string& name) {
  return name.ends_with(".safetensors") || name.ends_with(".bin") || name.ends_with(".index.json") ||
         name == "config.json" || name == "manifest.json" || name == "job.toml" || name == "training_state.json";
}

/// Whether it is the same model in the format of another program, which would stay as it was and be none of ours.
bool is_of_another_program(const fs::path& place) {
  const std::string first = place.begin()->string(), ending = place.extension().string();
  for (const char* folder : {".git", ".cache", "onnx", "openvino", "optimizer"})
    if (place.has_parent_path() && first == folder) return true;
  for (const char* weights :
       {".h5", ".msgpack", ".ot", ".onnx", ".onnx_data", ".tflite", ".gguf", ".pt", ".pth", ".ckpt"})
    if (ending == weights) return true;
  return false;
}

/// Files that a directory has beside its tensors and config.json, with folders of other modules (1_Pooling).
void copy_others(const std::string& from, const std::string& to) {
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(from)) {
    const fs::path place = fs::relative(entry.path(), from), target = fs::path(to) / place;
    bool left_out = is_of_another_program(place) || (!place.has_parent_path() && belongs_to_its_form(place.string()));
    if (left_out || !entry.is_regular_file()) continue;
    fs::create_directories(target.parent_path());
    replace_file(target.string(), MappedFile(entry.path().string()).bytes());
  }
}

/// What a GGUF file says besides its tensors and shapes, as files of a directory.
void write_others(const std::string& from, const ModelConfig& config, const std::string& to) {
  Tokenizer::load(from).save(to);
  replace_file(to + "/generation_config.json", generation_config_json(config, read_generation_config(from)));
  replace_file(to + "/README.md", model_card_text(read_model_card(from)));
  if (auto chat = find_template_text(from)) replace_file(to + "/chat_template.jinja", chat->text);
  if (auto modules = gguf_sentence_modules(from)) write_sentence_modules(*modules, config.hidden_size, to);
}

void write_directory(const std::string& from, const Arguments& arguments) {
  TensorFiles files(from);
  ModelConfig config = read_model_config(from);
  const auto adapter = merged_adapter(arguments, config, files);
  DType type = directory_type(arguments, files);
  std::string temporary = temporary_name(arguments.out);
  fs::create_directories(temporary);
  try {
    if (is_gguf(from))
      write_others(from, config, temporary);
    else
      copy_others(from, temporary);
    replace_file(temporary + "/config.json", model_config_json(config, type));
    save_tensors(temporary, safetensors_sources(files, config, type), kLargestFile);
    publish_directory(temporary, arguments.out);
  } catch (...) {
    fs::remove_all(temporary);
    throw;
  }
}

/// A directory is copied with all that is in it, which must not be what is being written.
void require_outside(const std::string& out, const std::string& from) {
  if (!fs::is_directory(from)) return;
  const fs::path model = fs::canonical(from), written = fs::weakly_canonical(out);
  bool inside = std::mismatch(model.begin(), model.end(), written.begin(), written.end()).first == model.end();
  require(!inside, out, " lies in ", from, ", the model that is converted; name another place");
}

int convert(const Arguments& arguments) {
  std::string from = model_directory(arguments.model, arguments.step);
  bool gguf = arguments.out.ends_with(".gguf");
  if (!gguf) require_outside(arguments.out, from);
  require(gguf || !fs::exists(arguments.out) || (fs::is_directory(arguments.out) && fs::is_empty(arguments.out)),
          arguments.out, " exists; name another, or remove it");
  if (gguf)
    write_gguf_model(from, arguments);
  else
    write_directory(from, arguments);
  std::cout << "written to " << arguments.out << '\n';
  return 0;
}

std::function<int()> declare(CommandLine app) {
  const auto arguments = std::make_shared<Arguments>();
  app.add_option("model", arguments->model, "a run, a model's directory or a GGUF file").required();
  declare_adapter(app, arguments->adapter);
  app.add_option("out", arguments->out, "the file or directory to write").required();
  app.add_option("--type", arguments->type, "of the numbers: f32, f16, bf16, and in a GGUF file q8_0, q4_0, q4_1")
      .one_of({"f32", "f16", "bf16", "q8_0", "q4_0", "q4_1"});
  app.add_option("--step", arguments->step, "checkpoint of the run; the newest by default").type_name("N");
  app.footer(kHelp);
  return [=] { return convert(*arguments); };
}

const bool provided = provide_command({"convert", "Write a model in another format", declare});

}  // namespace
}  // namespace lathe::cli
