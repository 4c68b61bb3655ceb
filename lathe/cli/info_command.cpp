#include <filesystem>
#include <iostream>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>

#include "lathe/base/error.h"
#include "lathe/base/json.h"
#include "lathe/base/numbers.h"
#include "lathe/cli/command.h"
#include "lathe/cli/command_line.h"
#include "lathe/cli/model_argument.h"
#include "lathe/files/gguf_model.h"
#include "lathe/files/model_card.h"
#include "lathe/files/model_config.h"
#include "lathe/models/family.h"
#include "lathe/models/task.h"
#include "lathe/tokenize/chat_template_files.h"
#include "lathe/tokenize/tokenizer.h"

namespace lathe::cli {
namespace {

using nlohmann::ordered_json;

constexpr const char* kHelp = R"(
Nothing but headers is read, so this is quick for models of any size. "weights" says how they lie in the files, by type;
"memory" what they take when every number has one type, and what each token in use takes besides (keys and values of all
layers). --json prints the same with plain numbers.

Examples:
  lathe info SmolLM2-135M-Instruct.Q4_1.gguf
  lathe info models/gpt2 --json)";

struct Arguments {
  std::string model;
  std::optional<int64_t> step;
  bool json = false;
};

/// Tensors of one type in the files.
struct Share {
  int64_t tensors = 0, numbers = 0, bytes = 0;
};

struct Description {
  std::string path;
  ModelCard card;
  ModelConfig config;
  int64_t parameters = 0;
  std::map<std::string, Share> shares;  ///< by type
  std::string tokenizer, chat_template;

  int64_t stored() const {
    int64_t bytes = 0;
    for (const auto& [type, share] : shares) bytes += share.bytes;
    return bytes;
  }
  int64_t cache_numbers() const {
    if (family_named(config.model_type).reading == Reading::encoder) return 0;
    return 2 * decoding_layers(config) * config.num_key_value_heads * config.head_dim;
  }
};

std::map<std::string, Share> shares_of(const TensorFiles& files) {
  std::map<std::string, Share> shares;
  for (const std::string& name : files.names()) {
    const FileTensor& tensor = *files.find(name);
    Share& share = shares[std::string(tensor.type)];
    int64_t numbers = 1;
    for (int64_t extent : tensor.shape) numbers *= extent;
    ++share.tensors;
    share.numbers += numbers;
    share.bytes += int64_t(tensor.bytes.size());
  }
  return shares;
}

/// Models without a tokenizer, or with one of a kind that is not built here, can be described too.
std::string tokenizer_of(const std::string& model) {
  try {
    Tokenizer tokenizer = Tokenizer::load(model);
    return text(tokenizer.kind(), ", ", format_count(tokenizer.vocabulary_size()), " tokens");
  } catch (const Error& error) {
    return text("none that can be read: ", error.what());
  }
}

std::string template_of(const std::string& path) {
  std::optional<TemplateText> found = find_template_text(path);
  return found ? found->text : "";
}

Description describe(const std::string& path) {
  TensorFiles files(path);
  Description d{
      path, read_model_card(path), read_model_config(path), 0, shares_of(files), tokenizer_of(path), template_of(path)};
  for (const Slice& tensor : tensors_of_model(d.config)) d.parameters += tensor.rows * tensor.columns;
  return d;
}

std::string shape_of(const ModelConfig& c) {
  return text(
      c.num_hidden_layers, " layers, hidden ", format_count(c.hidden_size), ", ", c.num_attention_heads, " heads",
      c.num_key_value_heads == c.num_attention_heads ? std::string() : text(" (", c.num_key_value_heads, " of keys)"),
      " of ", c.head_dim, ", feed-forward ", format_count(c.intermediate_size), ", vocabulary ",
      format_count(c.vocab_size), c.tie_word_embeddings ? ", tied" : "");
}

void print(const Description& d) {
  auto line = [](std::string label, const std::string& value) {
    label.resize(15, ' ');
    std::cout << label << value << '\n';
  };
  line("name", d.card.name);
  line("architecture", text(d.config.model_type, " (", architecture_of(d.config), ")"));
  line("parameters", text(format_count(d.parameters), " (", format_short_count(double(d.parameters)), ")"));
  line("shape", shape_of(d.config));
  line("context", format_count(d.config.max_position_embeddings) + " tokens");
  line("weights", format_bytes(d.stored()));
  for (const auto& [type, share] : d.shares)
    line("", text(type, ": ", format_short_count(double(share.numbers)), " in ", share.tensors, " tensors, ",
                  format_bytes(share.bytes)));
  line("memory", text("f32 ", format_bytes(4 * d.parameters), ", bf16 ", format_bytes(2 * d.parameters), ", q8_0 ",
                      format_bytes(d.parameters * 34 / 32), ", q4_0 ", format_bytes(d.parameters * 18 / 32)));
  if (d.cache_numbers() > 0)
    line("", text("and for each token in use: f32 ", format_bytes(4 * d.cache_numbers()), ", bf16 ",
                  format_bytes(2 * d.cache_numbers())));
  line("licence", d.card.license.empty() ? "not said" : d.card.license);
  line("tokenizer", d.tokenizer);
  line("chat template",
       d.chat_template.empty() ? "none" : text(format_count(int64_t(d.chat_template.size())), " characters"));
}

void print_json_of(const Description& d) {
  ordered_json types = ordered_json::object();
  for (const auto& [type, share] : d.shares)
    types[type] = {{"tensors", share.tensors}, {"numbers", share.numbers}, {"bytes", share.bytes}};
  const ModelConfig& c = d.config;
  ordered_json json = {{"name", d.card.name},
                       {"model_type", c.model_type},
                       {"architecture", architecture_of(c)},
                       {"parameters", d.parameters},
                       {"num_hidden_layers", c.num_hidden_layers},
                       {"hidden_size", c.hidden_size},
                       {"num_attention_heads", c.num_attention_heads},
                       {"num_key_value_heads", c.num_key_value_heads},
                       {"head_dim", c.head_dim},
                       {"intermediate_size", c.intermediate_size},
                       {"vocab_size", c.vocab_size},
                       {"max_position_embeddings", c.max_position_embeddings},
                       {"weights_bytes", d.stored()},
                       {"weights", types},
                       {"f32_bytes", 4 * d.parameters},
                       {"bf16_bytes", 2 * d.parameters},
                       {"cache_bytes_per_token_bf16", 2 * d.cache_numbers()},
                       {"license", d.card.license},
                       {"tokenizer", d.tokenizer},
                       {"chat_template", !d.chat_template.empty()}};
  std::cout << print_json(json);
}

int info(const Arguments& arguments) {
  Description description = describe(model_directory(arguments.model, arguments.step));
  if (arguments.json)
    print_json_of(description);
  else
    print(description);
  return 0;
}

std::function<int()> declare(CommandLine app) {
  const auto arguments = std::make_shared<Arguments>();
  app.add_option("model", arguments->model, "a run, a model's directory or a GGUF file").required();
  app.add_option("--step", arguments->step, "checkpoint of the run; the newest by default").type_name("N");
  app.add_flag("--json", arguments->json, "print a JSON object");
  app.footer(kHelp);
  return [=] { return info(*arguments); };
}

const bool provided = provide_command({"info", "Describe a model: shape, size, memory, licence", declare});

}  // namespace
}  // namespace lathe::cli
