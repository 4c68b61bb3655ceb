#include <chrono>
#include <filesystem>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "lathe/base/error.h"
#include "lathe/base/gguf.h"
#include "lathe/base/interrupt.h"
#include "lathe/base/log.h"
#include "lathe/base/numbers.h"
#include "lathe/base/progress.h"
#include "lathe/cli/command.h"
#include "lathe/cli/command_line.h"
#include "lathe/cli/compute_options.h"
#include "lathe/cli/model_argument.h"
#include "lathe/cli/text_argument.h"
#include "lathe/files/npy.h"
#include "lathe/infer/embedder.h"
#include "lathe/infer/model_directory.h"
#include "lathe/tensor/device_choice.h"

namespace lathe::cli {
namespace {

constexpr const char* kHelp = R"(
Examples:
  lathe embed all-MiniLM-L6-v2/ "A lathe turns wood." "Wood is turned on a lathe."
  lathe embed all-MiniLM-L6-v2/ --file sentences.txt --out sentences.npy
  lathe embed all-MiniLM-L6-v2/ --file pages.jsonl.zst --text-field body --out pages.jsonl --batch 64

The model is a directory or GGUF file of a BERT-like encoder. How a text's vector is made of its tokens' comes from the
directory's own sentence-transformers files (modules.json), or a GGUF file's keys; without them it is the mean, not
normalized. A file holds a text a line; one named .jsonl (or .jsonl.gz, .jsonl.zst) an object with the text a line. The
vectors are in the order of the texts: one a row of a .npy file (f32), or one a line of JSONL, to standard output
without --out.)";

constexpr size_t kTogether = 8192;  // texts that are sorted by length among each other

struct Options {
  std::string model, adapter, file, field = "text", out;
  ComputeOptions compute;
  std::vector<std::string> texts, pooling;
  std::optional<bool> normalize;
  int64_t batch = 32, max_tokens = 0;
};

SentenceModules modules_of(const Options& options, const std::string& directory) {
  std::optional<SentenceModules> own =
      is_gguf(directory) ? gguf_sentence_modules(directory) : read_sentence_modules(directory);
  if (!own && options.pooling.empty())
    log_info(directory, is_gguf(directory) ? " names no pooling" : " has no modules.json",
             ": vectors are the mean of a text's tokens, ",
             options.normalize.value_or(false) ? "normalized" : "not normalized");
  SentenceModules modules = own.value_or(SentenceModules{});
  if (!options.pooling.empty()) modules.pooling.clear();
  for (const std::string& name : options.pooling) modules.pooling.push_back(pooling_named(name));
  if (options.normalize) modules.normalize = *options.normalize;
  if (options.max_tokens > 0) modules.max_tokens = options.max_tokens;
  return modules;
}

/// sentence-transformers would put texts into lower case by itself; here tokenizers do that.
void require_lowercase(const Tokenizer& tokenizer, const std::string& model) {
  require(tokenizer.encode("A LATHE") == tokenizer.encode("a lathe"), model,
          ": sentence_bert_config.json says do_lower_case, which is not applied, and the tokenizer keeps capitals; put "
          "the texts into lower case and set it to false");
}

/// Where vectors go.
class Output {
 public:
  Output(const std::string& path, int64_t dimensions) {
    if (path.ends_with(".npy"))
      rows_.emplace(path, dimensions);
    else if (!path.empty())
      lines_.emplace(path);
  }
  void add(const std::vector<float>& vector) {
    if (rows_) return rows_->add(vector);
    std::string line = nlohmann::json({{"index", count_++}, {"embedding", vector}}).dump() + "\n";
    if (lines_)
      lines_->write(line);
    else
      std::cout << line;
  }
  void commit() {
    if (rows_) rows_->commit();
    if (lines_) lines_->commit();
    std::cout << std::flush;
  }

 private:
  std::optional<NpyWriter> rows_;
  std::optional<DurableFile> lines_;
  int64_t count_ = 0;
};

int embed(const Options& options) {
  require(options.out.empty() || options.out.ends_with(".npy") || options.out.ends_with(".jsonl"), "--out ",
          options.out, ": name a .npy or a .jsonl file");
  ModelDirectory directory(model_directory(options.model), options.adapter);
  if (directory.adapter) log_info(directory.adapter->description());
  SentenceModules modules = modules_of(options, options.model);
  if (modules.lowercase) require_lowercase(directory.tokenizer, options.model);
  if (!modules.prompt.empty()) log_info("each text stands behind \"", modules.prompt, "\", as the model's files say");
  Device device = choose_device(options.compute.device);
  Embedder embedder(directory.files, directory.config, modules,
                    {.limits = {.sequences = options.batch},
                     .device = device,
                     .compute = dtype_of(options.compute, device, directory.files),
                     .memory = memory_budget(device),
                     .adapter = directory.adapter_or_null()});
  Output output(options.out, embedder.dimensions());
  TextArguments texts(options.texts, options.file, options.field);
  InterruptGuard guard;
  Progress progress({.what = "embedding", .unit = "texts"});
  auto start = std::chrono::steady_clock::now();
  int64_t done = 0, tokens = 0;
  for (std::vector<std::string> some; !interrupted() && texts.next(some, kTogether);) {
    std::vector<std::vector<TokenId>> ids;
    for (const std::string& text : some) {
      ids.push_back(tokens_of_text(directory.tokenizer, modules.prompt + text, embedder.max_tokens()));
      tokens += int64_t(ids.back().size());
    }
    for (const std::vector<float>& vector : embedder.embed(ids, [&](int64_t now) { progress.update(done + now); }))
      output.add(vector);
    done += int64_t(some.size());
  }
  if (interrupted()) return interrupt_status();
  output.commit();
  double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  log_info(format_count(done), " texts of ", format_count(tokens), " tokens in ", format_duration(seconds), ", ",
           format_fixed(double(done) / seconds, 1), " texts/s, ", embedder.dimensions(), " dimensions, memory ",
           format_bytes(embedder.reader().memory()));
  return 0;
}

std::function<int()> declare(CommandLine app) {
  auto options = std::make_shared<Options>();
  app.add_option("model", options->model, "a model's directory or a GGUF file").required();
  declare_adapter(app, options->adapter);
  app.add_option("texts", options->texts, "texts to embed");
  app.add_option("--file", options->file, "file of texts: a line each, or JSONL").type_name("FILE");
  app.add_option("--text-field", options->field, "field of JSONL objects that holds the text").capture_default_str();
  app.add_option("--out", options->out, "a .npy or .jsonl file (default: JSONL to standard output)").type_name("FILE");
  app.add_option(
         "--pooling", options->pooling,
         "instead of the model's own: mean, first, last, max, weighted-mean, mean-sqrt-length; again for several")
      .expected(1)
      .take_all()
      .type_name("WORD");
  app.add_flag_callback(
      "--normalize", [options] { options->normalize = true; }, "vectors of length 1");
  app.add_flag_callback(
      "--no-normalize", [options] { options->normalize = false; }, "vectors as they are pooled");
  app.add_option("--max-tokens", options->max_tokens, "cut longer texts (default: the model's own limit)").positive();
  app.add_option("--batch", options->batch, "most texts read at a time").between(1, 4096).capture_default_str();
  declare_compute(app, options->compute);
  app.footer(kHelp);
  return [options] { return embed(*options); };
}

const bool provided = provide_command({"embed", "Turn texts into vectors with an encoder", declare});

}  // namespace
}  // namespace lathe::cli
