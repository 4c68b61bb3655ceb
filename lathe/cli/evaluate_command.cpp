#include <algorithm>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>

#include "lathe/base/error.h"
#include "lathe/base/json.h"
#include "lathe/base/log.h"
#include "lathe/base/numbers.h"
#include "lathe/base/progress.h"
#include "lathe/cli/command.h"
#include "lathe/cli/command_line.h"
#include "lathe/cli/compute_options.h"
#include "lathe/cli/model_argument.h"
#include "lathe/cli/reading_options.h"
#include "lathe/eval/perplexity.h"
#include "lathe/files/model_config.h"
#include "lathe/files/peft_adapter.h"
#include "lathe/tensor/device_choice.h"
#include "lathe/train/training_run.h"

namespace lathe::cli {
namespace {

using eval::Perplexity;

constexpr int64_t kBatchTokens = 4096;  // enough for matrix products to run at full speed

constexpr const char* kPerplexityHelp = R"(
Each token is predicted exactly once. Windows of --window tokens slide over the text by --stride; a window scores only
the tokens that the one before did not reach, so all but the first window's are predicted from at least
window - stride + 1 tokens. The first token is predicted after the model's start token (bos_token_id of its config.json,
else the tokenizer's end-of-text token), as in training. Documents are joined with the end-of-text token between them,
which is predicted as well, or with --separate scored each by itself. With --protocol llama.cpp, numbers compare with
those of llama-perplexity: whole windows of 512 tokens side by side, of each only the second half is scored, and the
first token of each is the begin token where the tokenizer puts one before texts. Bits per byte counts the bytes of the raw text, so
models with different tokenizers can be compared.

Examples:
  lathe evaluate perplexity runs/demo book.txt
  lathe evaluate perplexity runs/demo --held-out --stride 256
  lathe evaluate perplexity models/gpt2 'test/*.jsonl.zst' --text-field content --separate --json)";

struct Arguments {
  std::string model, adapter;
  std::vector<std::string> texts;
  std::optional<int64_t> step;
  bool held_out = false, json = false, separate = false;
  int64_t window = 0, stride = 0, batch = 0;
  ComputeOptions compute;
  std::string start_token, protocol = "sliding";
  data::ReadOptions read;
};

/// What is measured, and how.
struct Subject {
  std::string directory;
  ModelConfig config;
  Tokenizer tokenizer;
  eval::PerplexityMeter::Options options;
  std::unique_ptr<PeftAdapter> adapter = nullptr;  ///< that `options` name
};

std::optional<int32_t> start_token(const Arguments& arguments, const ModelConfig& config, const Tokenizer& tokenizer) {
  if (arguments.start_token == "none") return std::nullopt;
  if (!arguments.start_token.empty()) {
    std::optional<TokenId> id = tokenizer.id(arguments.start_token);
    require(id.has_value(), "--start-token: the tokenizer has no token \"", arguments.start_token, "\"");
    return int32_t(*id);
  }
  if (config.bos_token_id >= 0 && config.bos_token_id < config.vocab_size) return int32_t(config.bos_token_id);
  if (std::optional<TokenId> end = tokenizer.end_token()) return int32_t(*end);
  return std::nullopt;
}

/// What the tokenizer puts before every text.
std::optional<int32_t> token_before(const Tokenizer& tokenizer) {
  std::vector<TokenId> plain = tokenizer.encode("a"), whole = tokenizer.encode_with_template("a");
  bool begins = tokenizer.begin_token() && !whole.empty() && whole.front() == *tokenizer.begin_token() &&
                whole.size() > plain.size();
  return begins ? std::optional(int32_t(whole.front())) : std::nullopt;
}

Subject subject_of(const Arguments& arguments) {
  std::string directory = model_directory(arguments.model, arguments.step);
  ModelConfig config = read_model_config(directory);
  Tokenizer tokenizer = Tokenizer::load(directory);
  require(tokenizer.vocabulary_size() <= config.vocab_size, directory, ": the tokenizer has ",
          tokenizer.vocabulary_size(), " tokens but the model's vocab_size is ", config.vocab_size);
  eval::PerplexityMeter::Options options;
  eval::WindowOptions& windows = options.windows;
  windows.halves = arguments.protocol == "llama.cpp";
  windows.window = arguments.window > 0 ? arguments.window : windows.halves ? 512 : config.max_position_embeddings;
  windows.stride = arguments.stride > 0 ? arguments.stride : std::max<int64_t>(windows.window / 2, 1);
  if (windows.halves) windows.stride = windows.window;
  windows.batch = arguments.batch > 0 ? arguments.batch : std::max<int64_t>(kBatchTokens / windows.window, 1);
  windows.separate = arguments.separate;
  windows.start = start_token(arguments, config, tokenizer);
  options.device = choose_device(arguments.compute.device);
  options.compute = dtype_of(arguments.compute, options.device, TensorFiles(directory));
  options.memory = memory_budget(options.device);
  if (windows.halves && arguments.start_token.empty()) windows.start = token_before(tokenizer);
  if (!windows.start && !windows.halves)
    say_once("the model has no start token: the first token is not predicted, and its bytes do not count");
  Subject subject{directory, config, std::move(tokenizer), options};
  if (arguments.adapter.empty()) return subject;
  subject.adapter = std::make_unique<PeftAdapter>(arguments.adapter, config);
  subject.options.adapter = subject.adapter.get();
  log_info(subject.adapter->description());
  return subject;
}

Perplexity measure(eval::PerplexityMeter& meter, const Tokenizer& tokenizer, eval::TokenSource& source) {
  std::optional<Progress> line;
  auto text_bytes = [&](int32_t token) {
    const auto id = TokenId(token);
    return tokenizer.is_special(id) ? 0 : int64_t(tokenizer.decode(std::span(&id, 1)).size());
  };
  return meter.measure(source, text_bytes, [&](int64_t tokens) {
    if (!line) line.emplace(ProgressOptions{.what = "scoring", .unit = "tokens", .total = source.expected_tokens()});
    line->update(tokens);
  });
}

Perplexity measure_texts(const Arguments& arguments, const Subject& subject) {
  std::optional<TokenId> separator = arguments.separate ? std::nullopt : subject.tokenizer.end_token();
  eval::TextSource source(arguments.texts, arguments.read, subject.tokenizer, separator);
  eval::PerplexityMeter meter(subject.directory, subject.config, subject.options);
  return measure(meter, subject.tokenizer, source);
}

/// Of all the run's corpora, each as in training: after the token that ends its documents.
Perplexity measure_held_out(const Arguments& arguments, Subject& subject) {
  Perplexity all;
  JobSettings job = read_run_job(arguments.model);
  for (const CorpusSettings& corpus : job.data.corpora) {
    data::TokenShards shards(corpus.path);
    if (shards.held_out().tokens() == 0) continue;
    shards.require_tokenizer(subject.tokenizer.hash(), subject.directory);
    if (arguments.start_token.empty() && shards.index().end_of_document)
      subject.options.windows.start = int32_t(*shards.index().end_of_document);
    eval::PerplexityMeter meter(subject.directory, subject.config, subject.options);
    eval::HeldOutSource source(shards);
    all.add(measure(meter, subject.tokenizer, source));
  }
  require(all.tokens > 0, arguments.model, ": no corpus of this run has a held-out part; name texts instead");
  return all;
}

void print_as_json(const Perplexity& p, const Subject& subject) {
  const eval::WindowOptions& windows = subject.options.windows;
  nlohmann::ordered_json json = {{"model", subject.directory},   {"loss", p.loss()},
                                 {"perplexity", p.perplexity()}, {"bits_per_byte", p.bits_per_byte()},
                                 {"tokens", p.tokens},           {"bytes", p.bytes},
                                 {"documents", p.documents},     {"unpredicted_tokens", p.unpredicted},
                                 {"window", windows.window},     {"stride", windows.stride},
                                 {"separate", windows.separate}, {"dtype", name_of(subject.options.compute)},
                                 {"seconds", p.seconds},         {"tokens_per_second", p.tokens_per_second()}};
  if (windows.start) json["start_token"] = subject.tokenizer.token(TokenId(*windows.start));
  std::cout << print_json(json);
}

std::string description_of(const eval::WindowOptions& windows) {
  if (windows.halves)
    return text(windows.window, " tokens side by side: the second half of each predicted (llama.cpp)");
  return text(windows.window, " tokens, stride ", windows.stride, ": each token predicted once, from at least ",
              windows.window - windows.stride + 1, " before it where there are as many");
}

void print_as_text(const Perplexity& p, const Subject& subject) {
  const eval::WindowOptions& windows = subject.options.windows;
  std::cout << "model          " << subject.directory << ", " << name_of(subject.options.compute) << '\n'
            << "text           " << format_count(p.documents) << " document(s), " << format_bytes(p.bytes) << ", "
            << format_count(p.tokens) << " tokens (" << format_fixed(double(p.bytes) / double(p.tokens), 2)
            << " bytes a token)\n"
            << "windows        " << description_of(windows) << '\n'
            << "loss           " << format_fixed(p.loss(), 4) << " nats a token\n"
            << "perplexity     " << format_fixed(p.perplexity(), 3) << '\n'
            << "bits per byte  " << format_fixed(p.bits_per_byte(), 4) << '\n'
            << "time           " << format_duration(p.seconds) << ", " << format_short_count(p.tokens_per_second())
            << " tokens/s\n";
}

int run_perplexity(const Arguments& arguments) {
  require(arguments.protocol == "sliding" || !(arguments.held_out || arguments.separate || arguments.stride > 0),
          "--protocol llama.cpp measures texts in whole windows; it goes without --held-out, --separate and --stride");
  require(arguments.held_out == arguments.texts.empty(), "name texts, or --held-out for the run's own: one of both");
  require(arguments.read.invalid_utf8 != data::OnInvalidUtf8::skip,
          "--invalid-utf8 skip: a text is scored as it is read; use error or replace");
  Subject subject = subject_of(arguments);
  Perplexity result = arguments.held_out ? measure_held_out(arguments, subject) : measure_texts(arguments, subject);
  if (arguments.json)
    print_as_json(result, subject);
  else
    print_as_text(result, subject);
  return 0;
}

void declare_perplexity(CommandLine app, Arguments& arguments) {
  app.add_option("model", arguments.model, "a run (its newest checkpoint), a model directory or a GGUF file")
      .required();
  declare_adapter(app, arguments.adapter);
  app.add_option("texts", arguments.texts, "text files, directories and patterns");
  app.add_flag("--held-out", arguments.held_out, "score what the run holds out of its own corpora");
  app.add_option("--step", arguments.step, "the run's checkpoint of this step");
  app.add_option("--window", arguments.window, "tokens that the model reads at a time (default: all it can)")
      .positive();
  app.add_option("--stride", arguments.stride, "tokens from one window to the next (default: half a window)")
      .positive();
  app.add_option("--batch", arguments.batch, "windows in a pass (default: 4096 tokens' worth)").positive();
  app.add_option("--protocol", arguments.protocol, "how windows lie: sliding, or as in llama-perplexity")
      .one_of({"sliding", "llama.cpp"})
      .capture_default_str();
  app.add_flag("--separate", arguments.separate, "score each document by itself");
  app.add_option("--start-token", arguments.start_token, "predict the first token after this one, or 'none'");
  declare_compute(app, arguments.compute);
  app.add_flag("--json", arguments.json, "print the result as JSON");
  declare_reading(app, arguments.read);
  app.footer(kPerplexityHelp);
}

std::function<int()> declare(CommandLine app) {
  const auto arguments = std::make_shared<Arguments>();
  app.require_subcommand();
  declare_perplexity(app.add_subcommand("perplexity", "How well a model predicts texts"), *arguments);
  return [=] { return run_perplexity(*arguments); };
}

const bool provided = provide_command({"evaluate", "Measure a model", declare});

}  // namespace
}  // namespace lathe::cli
