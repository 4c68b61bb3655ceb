#include <algorithm>
#include <chrono>
#include <filesystem>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "lathe/base/interrupt.h"
#include "lathe/base/line_reader.h"
#include "lathe/base/log.h"
#include "lathe/base/numbers.h"
#include "lathe/base/text_input.h"
#include "lathe/base/utf8.h"
#include "lathe/cli/command.h"
#include "lathe/cli/command_line.h"
#include "lathe/cli/compute_options.h"
#include "lathe/cli/escapes.h"
#include "lathe/cli/model_argument.h"
#include "lathe/cli/sampling_options.h"
#include "lathe/cli/template_options.h"
#include "lathe/files/load_model.h"
#include "lathe/infer/beam_texts.h"
#include "lathe/infer/generator.h"
#include "lathe/infer/model_directory.h"
#include "lathe/models/family.h"
#include "lathe/models/task.h"
#include "lathe/tensor/device_choice.h"

namespace lathe::cli {
namespace {

using nlohmann::json;

constexpr const char* kHelp = R"(
Examples:
  lathe generate runs/demo --prompt "In the beginning"
  lathe generate runs/demo --prompt "In the beginning" --temperature 0 --max-tokens 40
  lathe generate runs/demo --step 500 --prompt "And" --top-p 0.9 --repetition-penalty 1.2 --seed 7
  lathe generate gpt2/ --prompt "Q: What is a lathe?\nA:" --stop "\n" --stop "Q:"
  lathe generate gpt2/ --file prompts.txt --json > results.jsonl
  lathe generate flan-t5-small/ --prompt "Translate to German: I love you." --beams 4 --no-repeat-ngram 3
  lathe generate smollm2/ --chat --system "Be brief." --prompt "What is a lathe?"
  lathe generate smollm2/ --messages conversations.jsonl --json > answers.jsonl

The model is the newest checkpoint of a run, any directory with config.json, model.safetensors and tokenizer.json, or a
GGUF file.
The text goes to standard output as it is written; with several prompts, each text when all are done. A file holds a
prompt a line; one named .jsonl (or .jsonl.gz, .jsonl.zst) an object with "prompt" a line. In prompts and stop strings
given as options, \n, \t and \\ mean what they do in C. One prompt's text does not depend on the others. A conversation
is a list of {"role": ..., "content": ...}, or an object with that as "messages" (and "tools").

An encoder-decoder (T5, BART) reads the prompt and writes a text of its own. --beams searches for the likeliest text
instead of drawing one: the text with the best log probability over its length to the power --length-penalty, one prompt
after another; --early-stopping says when the search ends, as in transformers. What no option says of how tokens are chosen, the model's
generation_config.json says, or general.sampling.* of a GGUF file; a line shows what came from there.)";

struct Options {
  std::string model, adapter, file, messages;
  std::optional<int64_t> step;
  std::vector<std::string> prompts;
  SamplingChoice sampling;
  TemplateOptions chat_template;
  ComputeOptions compute;
  int64_t batch = 8;
  bool json = false, chat = false;
};

void read_prompts(const std::string& path, std::vector<std::string>& prompts) {
  bool objects = path.find(".jsonl") != std::string::npos;
  LineReader lines(path);
  for (std::string_view line; lines.next(line);) {
    if (!objects) {
      prompts.emplace_back(line);
      continue;
    }
    json object = json::parse(line, nullptr, false);
    require(object.is_object() && object.contains("prompt") && object["prompt"].is_string(), path, ":", lines.number(),
            ": no JSON object with a text \"prompt\"");
    prompts.push_back(object["prompt"].get<std::string>());
  }
  require(!prompts.empty(), path, " holds no prompt");
}

/// What is written after: ids, and what results call it.
struct Prompts {
  std::vector<std::string> texts;
  std::vector<std::vector<TokenId>> ids;
};

/// Conversations of a file: one in JSON, or in JSONL one a line.
std::vector<Conversation> read_conversations(const std::string& path) {
  if (path.find(".jsonl") == std::string::npos) return {read_conversation(read_text(path), path)};
  std::vector<Conversation> all;
  LineReader lines(path);
  for (std::string_view line; lines.next(line);)
    all.push_back(read_conversation(line, text(path, ':', lines.number())));
  require(!all.empty(), path, " holds no conversation");
  return all;
}

nlohmann::ordered_json message(const char* role, const std::string& content) {
  return {{"role", role}, {"content", content}};
}

Conversation asking(const std::string& prompt) {
  Conversation conversation;
  conversation.messages.push_back(message("user", prompt));
  return conversation;
}

Prompts plain_prompts(const Options& options, const Tokenizer& tokenizer, Reading reading) {
  Prompts prompts{options.prompts, {}};
  for (const std::string& prompt : options.prompts)
    prompts.ids.push_back(reading == Reading::encoder_decoder ? tokenizer.encode_with_template(prompt)
                                                              : prompt_tokens(tokenizer, prompt));
  return prompts;
}

/// The prompts as messages of a user, then the conversations of --messages; what ends an answer is added to `model`.
Prompts chat_prompts(const Options& options, const std::string& path, ModelDirectory& model) {
  ChatTemplate chat_template = chat_template_of(path, options.chat_template);
  if (auto end = chat_template.end_of_turn(model.tokenizer)) model.end_tokens.push_back(*end);
  std::vector<Conversation> conversations;
  for (const std::string& prompt : options.prompts) conversations.push_back(asking(prompt));
  if (!options.messages.empty())
    for (Conversation& conversation : read_conversations(options.messages))
      conversations.push_back(std::move(conversation));
  Prompts prompts;
  for (Conversation& conversation : conversations) {
    const nlohmann::ordered_json& last = conversation.messages.back();
    bool has_text = last.contains("content") && last["content"].is_string();
    prompts.texts.push_back(has_text ? last["content"].get<std::string>() : "");
    if (!options.chat_template.system.empty())
      conversation.messages.insert(conversation.messages.begin(), message("system", options.chat_template.system));
    conversation.options = options.chat_template.values;
    prompts.ids.push_back(chat_template.tokens(conversation, model.tokenizer));
  }
  return prompts;
}

/// Results as they are shown.
class Output {
 public:
  Output(const Options& options, const Prompts& prompts, const Sampling& sampling)
      : options_(options),
        prompts_(prompts),
        sampling_(sampling),
        streams_(prompts.ids.size() == 1 && !options.json),
        waiting_(prompts.ids.size()) {}

  void piece(const std::string& text) {
    if (streams_) std::cout << text << std::flush;
  }

  /// Shows it as soon as all before it are shown.
  void result(size_t prompt, const Generated& generated) {
    waiting_[prompt] = generated;
    for (; shown_ < waiting_.size() && waiting_[shown_]; ++shown_) show(shown_, *waiting_[shown_]);
  }

 private:
  const Options& options_;
  const Prompts& prompts_;
  const Sampling& sampling_;
  bool streams_;
  std::vector<std::optional<Generated>> waiting_;
  size_t shown_ = 0;

  void show(size_t i, const Generated& generated) const {
    if (options_.json) {
      std::cout << line_of(i, generated).dump(-1, ' ', false, json::error_handler_t::replace) << '\n' << std::flush;
      return;
    }
    if (!streams_) {
      if (i > 0) std::cout << '\n';
      std::cout << "==> " << lossy_utf8(prompts_.texts[i]) << '\n' << generated.text;
    }
    std::cout << '\n' << std::flush;
  }

  json line_of(size_t i, const Generated& generated) const {
    auto written = double(generated.tokens.size());
    return {{"index", i},
            {"prompt", prompts_.texts[i]},
            {"text", generated.text},
            {"prompt_tokens", prompts_.ids[i].size()},
            {"new_tokens", generated.tokens.size()},
            {"finish_reason", name_of(generated.finish)},
            {"sampling", sampling_.json()},
            {"seconds", generated.seconds},
            {"tokens_per_second", generated.seconds > 0 ? written / generated.seconds : 0}};
  }
};

void log_speed(const std::vector<Generated>& results, const InferencePlan& plan, DType dtype, double seconds) {
  int64_t written = 0;
  for (const Generated& result : results) written += int64_t(result.tokens.size());
  log_info(format_count(written), " tokens in ", format_duration(seconds), ", ",
           format_fixed(double(written) / seconds, 1), " tokens/s, ", name_of(dtype), ", memory ",
           format_bytes(plan.capacity));
}

/// How the model goes through a text, and what it begins with and ends in where it is an encoder-decoder.
Reading prepare(const Options& options, const ModelConfig& config, Sampling& sampling) {
  GenerationOptions& g = sampling.generation;
  BeamOptions& s = sampling.search;
  Reading reading = family_named(config.model_type).reading;
  require(reading != Reading::encoder && task_of(config) == Task::causal_lm, options.model, ": ",
          architecture_of(config),
          " reads texts whole and cannot continue them; lathe embed and lathe fill-mask use it");
  if (reading == Reading::encoder_decoder) {
    g.start_token = TokenId(config.decoder_start_token_id);
    s.forced_bos_token_id = g.forced_bos_token_id = config.forced_bos_token_id;
    s.forced_eos_token_id = g.forced_eos_token_id = config.forced_eos_token_id;
  }
  return reading;
}

/// A decoder that suits the prompts.
DecoderLimits decoder_limits(const Sampling& sampling, int64_t batch, const ModelConfig& config, Reading reading,
                             const std::vector<std::vector<TokenId>>& ids) {
  int64_t most = sampling.generation.max_new_tokens, context = config.max_position_embeddings;
  DecoderLimits limits = reading == Reading::encoder_decoder ? limits_for_sources(ids, most, context, batch)
                                                             : limits_for(ids, most, context, batch);
  return sampling.search.beams > 1 ? with_beams(limits, sampling.search.beams) : limits;
}

std::vector<Generated> write_texts(const Sampling& sampling, Decoder& decoder, const ModelDirectory& directory,
                                   const std::vector<std::vector<TokenId>>& ids, const GenerationHooks& hooks) {
  if (sampling.search.beams > 1)
    return beam_texts(decoder, directory.tokenizer, directory.end_tokens, sampling.search,
                      sampling.generation.start_token, ids, hooks);
  return Generator(decoder, directory.tokenizer, directory.end_tokens, sampling.generation).run(ids, hooks);
}

int generate(Options& options) {
  std::string path = model_directory(options.model, options.step);
  ModelDirectory directory(path, options.adapter);
  if (directory.adapter) log_info(directory.adapter->description());
  Sampling sampling = sampling_of(options.sampling, directory.generation, path);
  Reading reading = prepare(options, directory.config, sampling);
  if (!options.file.empty()) read_prompts(options.file, options.prompts);
  require(!options.prompts.empty() || !options.messages.empty(), "give a --prompt, or a --file of prompts");
  bool chat = options.chat || !options.messages.empty();
  for (auto [given, option] : {std::pair(!options.chat_template.system.empty(), "--system"),
                               std::pair(!options.chat_template.file.empty(), "--chat-template"),
                               std::pair(!options.chat_template.values.is_null(), "--template-set")})
    require(chat || !given, option, " needs --chat: a plain prompt has no messages");
  require(!chat || reading == Reading::decoder, "--chat and --messages need a model that continues texts");
  Prompts prompts =
      chat ? chat_prompts(options, path, directory) : plain_prompts(options, directory.tokenizer, reading);
  Device device = choose_device(options.compute.device);
  DType dtype = dtype_of(options.compute, device, directory.files);
  DecoderLimits limits = decoder_limits(sampling, options.batch, directory.config, reading, prompts.ids);
  auto load = [&] { return load_model(directory.files, directory.config, dtype, directory.adapter_or_null()); };
  InferencePlan plan = plan_inference(load, directory.config, dtype, limits, device);
  require_fits(plan, limits, dtype, memory_budget(device));

  InterruptGuard guard;
  Runtime runtime(device, plan.capacity);
  std::unique_ptr<Model> model = load();
  Graphs graphs(1);
  Decoder decoder(*model, directory.config, dtype, limits, &graphs);
  Output output(options, prompts, sampling);
  auto start = std::chrono::steady_clock::now();
  std::vector<Generated> results =
      write_texts(sampling, decoder, directory, prompts.ids,
                  {.on_text = [&](size_t, const std::string& piece) { output.piece(piece); },
                   .on_finish = [&](size_t i, const Generated& result) { output.result(i, result); },
                   .stop = interrupted,
                   .run_step = [&](const std::function<void()>& step) { replay(plan.step.placement, step); },
                   .run_start = [&](const std::function<void()>& step) { replay(plan.start.placement, step); }});
  double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  log_speed(results, plan, dtype, seconds);
  return interrupt_status();
}

std::function<int()> declare(CommandLine app) {
  auto options = std::make_shared<Options>();
  app.add_option("model", options->model, "a run, a model's directory or a GGUF file").required();
  declare_adapter(app, options->adapter);
  app.add_option("--step", options->step, "checkpoint of the run; the newest by default").type_name("N");
  app.add_option_function<std::vector<std::string>>(
         "--prompt",
         [options](const std::vector<std::string>& all) {
           for (const std::string& prompt : all) options->prompts.push_back(unescaped(prompt));
         },
         "what a text begins with; again for several")
      .expected(1)
      .take_all()
      .type_name("TEXT");
  app.add_option("--file", options->file, "file of prompts: a line each, or JSONL").type_name("FILE");
  app.add_flag("--chat", options->chat, "the prompts are what a user says: the model's chat template goes around them");
  app.add_option("--messages", options->messages, "conversations to answer: JSON, or JSONL with one a line")
      .type_name("FILE");
  declare_template(app, options->chat_template);
  declare_sampling(app, options->sampling);
  declare_beams(app, options->sampling);
  declare_compute(app, options->compute);
  app.add_option("--batch", options->batch, "most texts written at a time").between(1, 4096).capture_default_str();
  app.add_flag("--json", options->json, "a JSON object a result: text, counts, why it ended, speed");
  app.footer(kHelp);
  return [options] { return generate(*options); };
}

const bool provided = provide_command({"generate", "Continue texts with a trained model", declare});

}  // namespace
}  // namespace lathe::cli
