#include <sys/resource.h>

#include <algorithm>
#include <iostream>
#include <memory>
#include <optional>

#include "lathe/base/error.h"
#include "lathe/base/numbers.h"
#include "lathe/base/progress.h"
#include "lathe/cli/command.h"
#include "lathe/cli/command_line.h"
#include "lathe/cli/reading_options.h"
#include "lathe/data/prepare.h"
#include "lathe/data/token_shards.h"
#include "lathe/tokenize/tokenizer.h"

namespace lathe::cli {
namespace {

using data::PrepareOptions;

constexpr const char* kPrepareHelp = R"(
Examples:
  lathe data prepare books/ --tokenizer tokenizer.json --out data/books --held-out 0.01
  lathe data prepare 'crawl/*.jsonl.zst' --text-field content --tokenizer tokenizer/ --out data/crawl --deduplicate --shuffle
  lathe data prepare all.txt --document-separator '\n\n\n' --tokenizer tokenizer.json --out data/all --held-out 1MB

A .txt file is one document unless --document-separator cuts it. Documents end with the tokenizer's end token.
With fewer than 20 documents the held-out part is the tail of the text.)";

constexpr const char* kShowHelp = R"(
Examples:
  lathe data show data/books
  lathe data show data/books --verify --tokens 200)";

struct PrepareArguments {
  PrepareOptions options;
  std::string held_out = "0";
};

struct ShowArguments {
  std::string directory;
  bool verify = false;
  int64_t tokens = 60;
};

/// "0.01" is a fraction, "1MB" or "1000000" a number of bytes.
data::HeldOutSize parse_held_out(const std::string& written) {
  const std::optional<double> number = try_parse_float(written);
  if (number && *number < 1) return {.fraction = *number};
  return {.bytes = parse_bytes(written, "--held-out")};
}

void print_split(const char* name, const data::SplitIndex& split) {
  std::cout << name << format_count(split.documents) << " documents, " << format_count(split.tokens) << " tokens, "
            << format_bytes(split.bytes) << " of text";
  if (split.tokens > 0)
    std::cout << " (" << format_fixed(static_cast<double>(split.bytes) / static_cast<double>(split.tokens), 2)
              << " bytes a token), " << split.shards.size() << " shard(s)";
  std::cout << '\n';
}

void print_left_out(const data::LeftOut& left_out) {
  const std::pair<int64_t, const char*> counts[] = {{left_out.duplicates, "duplicate documents"},
                                                    {left_out.empty, "empty documents"},
                                                    {left_out.broken_lines, "broken lines"},
                                                    {left_out.invalid_utf8, "documents that are not UTF-8"}};
  for (const auto& [count, what] : counts)
    if (count > 0) std::cout << "left out   " << format_count(count) << ' ' << what << '\n';
}

void print_index(const data::ShardIndex& index) {
  print_split("train      ", index.train);
  print_split("held out   ", index.held_out);
  print_left_out(index.left_out);
  std::cout << "tokenizer  " << index.tokenizer_file << ", hash " << index.tokenizer_hash << ", vocabulary "
            << format_count(index.vocabulary_size) << ", largest token here " << index.largest_token << '\n'
            << "stored     " << 8 * index.token_bytes << " bits a token, at most " << format_count(index.shard_tokens)
            << " tokens a shard\n";
  if (!index.end_of_document) std::cout << "note       the tokenizer has no end token: documents run into each other\n";
}

double peak_megabytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_maxrss) * 1024 / 1e6;
}

void print_times(const data::PrepareReport& report) {
  const auto bytes = static_cast<double>(report.index.train.bytes + report.index.held_out.bytes);
  std::cerr << "data: " << format_fixed(bytes / 1e6 / report.all_seconds, 1) << " MB/s, "
            << format_duration(report.all_seconds) << " in all (reading " << format_fixed(report.reading_seconds, 1)
            << " s, tokenizing " << format_fixed(report.tokenizing_seconds, 1) << " s over all threads, spooling "
            << format_fixed(report.spooling_seconds, 1) << " s, arranging " << format_fixed(report.arranging_seconds, 1)
            << " s), peak memory " << format_fixed(peak_megabytes(), 0) << " MB\n";
}

data::PrepareReport prepare_with_progress(const PrepareOptions& options) {
  std::optional<Progress> line;
  return data::prepare(options, [&line](const data::PrepareProgress& now) {
    if (!line) line.emplace(ProgressOptions{.what = "preparing", .unit = "bytes", .total = now.file_bytes});
    if (!line->due()) return;
    line->update(now.file_bytes_read, format_short_count(static_cast<double>(now.tokens)) + " tokens");
  });
}

int run_prepare(PrepareArguments arguments) {
  PrepareOptions& options = arguments.options;
  options.held_out = parse_held_out(arguments.held_out);
  const data::PrepareReport report = prepare_with_progress(options);
  print_times(report);
  print_index(report.index);
  std::cout << "written to " << options.output << '\n';
  return 0;
}

void print_sample(const data::TokenShards& shards, const data::TokenSplit& split, int64_t count) {
  std::vector<int32_t> tokens(static_cast<size_t>(std::min(count, split.tokens())));
  if (tokens.empty()) return;
  split.read(0, tokens);
  const Tokenizer tokenizer = Tokenizer::load(shards.tokenizer_path());
  shards.require_tokenizer(tokenizer.hash(), shards.tokenizer_path());
  const std::vector<TokenId> ids(tokens.begin(), tokens.end());
  std::cout << "\nfirst " << ids.size() << " tokens of " << split.name() << ":\n" << tokenizer.decode(ids) << '\n';
}

int run_show(const ShowArguments& arguments) {
  const data::TokenShards shards(arguments.directory);
  const data::ShardIndex& index = shards.index();
  print_index(index);
  const size_t shown = std::min<size_t>(index.sources.size(), 20);
  for (size_t i = 0; i < shown; ++i)
    std::cout << "source     " << index.sources[i].path << ": " << format_count(index.sources[i].documents)
              << " documents, " << format_bytes(index.sources[i].bytes) << '\n';
  if (shown < index.sources.size()) std::cout << "source     ... " << index.sources.size() - shown << " more\n";
  if (arguments.verify) {
    shards.verify();
    std::cout << "verified   all checksums, offsets and token ranges are right\n";
  }
  print_sample(shards, shards.train(), arguments.tokens);
  print_sample(shards, shards.held_out(), arguments.tokens);
  return 0;
}

void declare_prepare(CommandLine app, PrepareArguments& arguments) {
  PrepareOptions& options = arguments.options;
  app.add_option("inputs", options.inputs, "text files, directories and patterns").required();
  app.add_option("--tokenizer", options.tokenizer, "tokenizer.json or a directory with one").required();
  app.add_option("--out", options.output, "directory to make").required();
  declare_reading(app, options.read);
  app.add_option("--end-token", options.end_of_document, "token put behind each document (default: the tokenizer's)");
  app.add_flag("--deduplicate", options.deduplicate, "leave out documents with the text of an earlier one");
  app.add_flag("--shuffle", options.shuffle, "put the training documents in a random order");
  app.add_option("--seed", options.seed, "of the shuffle and the choice of held-out documents").capture_default_str();
  app.add_option("--held-out", arguments.held_out, "text kept from training: a fraction below 1, or bytes (1MB)")
      .capture_default_str();
  app.add_option("--shard-tokens", options.shard_tokens, "tokens in a full shard").capture_default_str();
  app.add_flag("--force", options.replace, "replace an earlier corpus in --out");
  app.footer(kPrepareHelp);
}

void declare_show(CommandLine app, ShowArguments& arguments) {
  app.add_option("directory", arguments.directory, "what `lathe data prepare` wrote").required();
  app.add_flag("--verify", arguments.verify, "read everything and compare checksums");
  app.add_option("--tokens", arguments.tokens, "tokens to print as text").capture_default_str();
  app.footer(kShowHelp);
}

std::function<int()> declare_data(CommandLine app) {
  const auto prepare = std::make_shared<PrepareArguments>();
  const auto show = std::make_shared<ShowArguments>();
  app.require_subcommand();
  CommandLine preparing = app.add_subcommand("prepare", "turn text into token shards");
  declare_prepare(preparing, *prepare);
  declare_show(app.add_subcommand("show", "print what a prepared corpus holds"), *show);
  return [=] { return preparing.parsed() ? run_prepare(*prepare) : run_show(*show); };
}

const bool provided = provide_command({"data", "Prepare text for training, look at prepared data", declare_data});

}  // namespace
}  // namespace lathe::cli
