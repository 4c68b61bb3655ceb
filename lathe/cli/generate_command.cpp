#include <CLI/CLI.hpp>
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
#include "lathe/base/utf8.h"
#include "lathe/cli/command.h"
#include "lathe/cli/escapes.h"
#include "lathe/cli/model_argument.h"
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

The model is the newest checkpoint of a run, or any directory with config.json, model.safetensors and tokenizer.json.
The text goes to standard output as it is written; with several prompts, each text when all are done. A file holds a
prompt a line; one named .jsonl (or .jsonl.gz, .jsonl.zst) an object with "prompt" a line. In prompts and stop strings
given as options, \n, \t and \\ mean what they do in C. One prompt's text does not depend on the others.

An encoder-decoder (T5, BART) reads the prompt and writes a text of its own. --beams searches for the likeliest text
instead of drawing one: the text with the best log probability over its length to the power --length-penalty, one prompt
after another; --early-stopping says when the search ends, as in transformers.)";

struct Options {
  std::string model, file, device = "auto", dtype = "auto";
  std::optional<int64_t> step;
  std::vector<std::string> prompts;
  GenerationOptions generation;
  BeamOptions search;
  int64_t batch = 8;
  bool json = false, greedy = false;
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

DType dtype_of(const std::string& name, Device device) {
  if (name == "auto") return default_compute(device);
  return name == "bf16" ? DType::bf16 : DType::f32;
}

/// Results as they are shown.
class Output {
 public:
  Output(const Options& options, const std::vector<std::vector<TokenId>>& ids)
      : options_(options), ids_(ids), streams_(ids.size() == 1 && !options.json), waiting_(ids.size()) {}

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
  const std::vector<std::vector<TokenId>>& ids_;
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
      std::cout << "==> " << lossy_utf8(options_.prompts[i]) << '\n' << generated.text;
    }
    std::cout << '\n' << std::flush;
  }

  json line_of(size_t i, const Generated& generated) const {
    auto written = double(generated.tokens.size());
    return {{"index", i},
            {"prompt", options_.prompts[i]},
            {"text", generated.text},
            {"prompt_tokens", ids_[i].size()},
            {"new_tokens", generated.tokens.size()},
            {"finish_reason", name_of(generated.finish)},
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
Reading prepare(Options& options, const ModelConfig& config) {
  GenerationOptions& g = options.generation;
  BeamOptions& s = options.search;
  check_sampling(g.sampling);
  Reading reading = family_named(config.model_type).reading;
  require(reading != Reading::encoder && task_of(config) == Task::causal_lm, options.model, ": ",
          architecture_of(config),
          " reads texts whole and cannot continue them; lathe embed and lathe fill-mask use it");
  if (reading == Reading::encoder_decoder) {
    g.start_token = TokenId(config.decoder_start_token_id);
    s.forced_bos_token_id = g.forced_bos_token_id = config.forced_bos_token_id;
    s.forced_eos_token_id = g.forced_eos_token_id = config.forced_eos_token_id;
  }
  s.max_new_tokens = g.max_new_tokens;
  s.repetition_penalty = g.sampling.repetition_penalty;
  s.no_repeat_ngram_size = g.sampling.no_repeat_ngram_size;
  check_beams(s);
  require(s.beams == 1 || g.stop.empty(), "--stop does not go with --beams: a search ends at end tokens alone");
  return reading;
}

/// The tokens of each prompt, and a decoder that suits them.
DecoderLimits read_prompt_tokens(const Options& options, const ModelDirectory& directory, Reading reading,
                                 std::vector<std::vector<TokenId>>& ids) {
  bool encodes = reading == Reading::encoder_decoder;
  for (const std::string& prompt : options.prompts)
    ids.push_back(encodes ? directory.tokenizer.encode_with_template(prompt)
                          : prompt_tokens(directory.tokenizer, prompt));
  int64_t most = options.generation.max_new_tokens, context = directory.config.max_position_embeddings;
  DecoderLimits limits =
      encodes ? limits_for_sources(ids, most, context, options.batch) : limits_for(ids, most, context, options.batch);
  return options.search.beams > 1 ? with_beams(limits, options.search.beams) : limits;
}

std::vector<Generated> write_texts(const Options& options, Decoder& decoder, const ModelDirectory& directory,
                                   const std::vector<std::vector<TokenId>>& ids, const GenerationHooks& hooks) {
  if (options.search.beams > 1)
    return beam_texts(decoder, directory.tokenizer, directory.end_tokens, options.search,
                      options.generation.start_token, ids, hooks);
  return Generator(decoder, directory.tokenizer, directory.end_tokens, options.generation).run(ids, hooks);
}

int generate(Options& options) {
  ModelDirectory directory(model_directory(options.model, options.step));
  Reading reading = prepare(options, directory.config);
  if (!options.file.empty()) read_prompts(options.file, options.prompts);
  require(!options.prompts.empty(), "give a --prompt, or a --file of prompts");
  std::vector<std::vector<TokenId>> ids;
  DecoderLimits limits = read_prompt_tokens(options, directory, reading, ids);
  Device device = choose_device(options.device);
  DType dtype = dtype_of(options.dtype, device);
  auto load = [&] { return load_model(directory.files, directory.config, dtype); };
  InferencePlan plan = plan_inference(load, directory.config, dtype, limits, device);
  require_fits(plan, limits, dtype, memory_budget(device));

  InterruptGuard guard;
  Runtime runtime(device, plan.capacity);
  std::unique_ptr<Model> model = load();
  Graphs graphs(1);
  Decoder decoder(*model, directory.config, dtype, limits, &graphs);
  Output output(options, ids);
  auto start = std::chrono::steady_clock::now();
  std::vector<Generated> results =
      write_texts(options, decoder, directory, ids,
                  {.on_text = [&](size_t, const std::string& piece) { output.piece(piece); },
                   .on_finish = [&](size_t i, const Generated& result) { output.result(i, result); },
                   .stop = interrupted,
                   .run_step = [&](const std::function<void()>& step) { replay(plan.step.placement, step); },
                   .run_start = [&](const std::function<void()>& step) { replay(plan.start.placement, step); }});
  double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  log_speed(results, plan, dtype, seconds);
  return interrupt_status();
}

std::function<int()> declare(CLI::App& app) {
  auto options = std::make_shared<Options>();
  GenerationOptions& g = options->generation;
  SamplingOptions& s = g.sampling;
  s.temperature = 0.8, s.top_p = 0.95;
  app.add_option("model", options->model, "a run, or a model's directory")->required();
  app.add_option("--step", options->step, "checkpoint of the run; the newest by default")->type_name("N");
  app.add_option_function<std::vector<std::string>>(
         "--prompt",
         [options](const std::vector<std::string>& all) {
           for (const std::string& prompt : all) options->prompts.push_back(unescaped(prompt));
         },
         "what a text begins with; again for several")
      ->expected(1)
      ->take_all()
      ->type_name("TEXT");
  app.add_option("--file", options->file, "file of prompts: a line each, or JSONL")->type_name("FILE");
  app.add_option("--max-tokens", g.max_new_tokens, "most tokens to write after a prompt")->capture_default_str();
  app.add_option_function<std::vector<std::string>>(
         "--stop",
         [options](const std::vector<std::string>& all) {
           for (const std::string& stop : all) options->generation.stop.push_back(unescaped(stop));
         },
         "end the text before this; again for several")
      ->expected(1)
      ->take_all()
      ->type_name("TEXT");
  app.add_option("--temperature", s.temperature, "0: the likeliest token always")->capture_default_str();
  app.add_option("--top-k", s.top_k, "draw from the likeliest K tokens; 0: all")->capture_default_str();
  app.add_option("--top-p", s.top_p, "draw from the likeliest tokens of this share")->capture_default_str();
  app.add_option("--min-p", s.min_p, "draw from tokens this likely, as a share of the likeliest")
      ->capture_default_str();
  app.add_option("--repetition-penalty", s.repetition_penalty, "above 1: avoid tokens that occurred")
      ->capture_default_str();
  app.add_option("--no-repeat-ngram", s.no_repeat_ngram_size, "no N tokens in a row occur twice; 0: they may")
      ->capture_default_str()
      ->type_name("N");
  options->search.beams = 1;
  app.add_option("--beams", options->search.beams, "above 1: search for the likeliest text with this many candidates")
      ->capture_default_str();
  app.add_option("--length-penalty", options->search.length_penalty, "of a search: above 0 favours longer texts")
      ->capture_default_str();
  app.add_option("--early-stopping", options->search.early_stopping, "of a search: no, yes or never")
      ->transform(CLI::CheckedTransformer(std::map<std::string, EarlyStopping>{
          {"no", EarlyStopping::no}, {"yes", EarlyStopping::yes}, {"never", EarlyStopping::never}}))
      ->default_str("no")
      ->type_name("WORD");
  app.add_option("--seed", s.seed, "of the random numbers")->capture_default_str();
  app.add_option("--device", options->device, "auto: the first GPU, or the CPU where there is none; cpu, cuda, cuda:1")
      ->capture_default_str();
  app.add_option("--dtype", options->dtype, "of weights, cache and arithmetic; auto: bf16 where it is fast")
      ->check(CLI::IsMember({"auto", "f32", "bf16"}))
      ->capture_default_str();
  app.add_option("--batch", options->batch, "most texts written at a time")
      ->check(CLI::Range(int64_t{1}, int64_t{4096}))
      ->capture_default_str();
  app.add_flag("--json", options->json, "a JSON object a result: text, counts, why it ended, speed");
  app.footer(kHelp);
  return [options] { return generate(*options); };
}

const bool provided = provide_command({"generate", "Continue texts with a trained model", declare});

}  // namespace
}  // namespace lathe::cli
