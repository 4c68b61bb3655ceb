#include <algorithm>
#include <chrono>
#include <filesystem>
#include <iostream>
#include <memory>

#include "lathe/base/error.h"
#include "lathe/base/text_input.h"
#include "lathe/cli/command.h"
#include "lathe/cli/command_line.h"
#include "lathe/tokenize/tokenizer.h"
#include "lathe/tokenize/trainer.h"

namespace lathe::cli {
namespace {

namespace fs = std::filesystem;

constexpr const char* kTokenizerFiles =
    "tokenizer.json, .model, .tiktoken, vocab.txt or .gguf file, or a directory with one";

struct TrainArguments {
  std::vector<std::string> texts;
  std::string kind = "gpt2", out;
  std::vector<std::string> special;
  int64_t vocabulary_size = 32000, minimum_frequency = 0;
  bool cased = false;
  int threads = 0;
};

struct TextArguments {
  std::string tokenizer, input = "-";
  std::string pair;
  bool lines = false, count = false, ordinary = false, with_template = false, text_only = false, all_tokens = false;
  bool annotated = false;
  int threads = 0;
};

/// The file to read for what the user gave; "-" is standard input.
std::string input_path(const std::string& given) { return given == "-" ? "/dev/stdin" : given; }

/// Files named, and all files below directories named, sorted.
std::vector<std::string> files_of(const std::vector<std::string>& given) {
  std::vector<std::string> files;
  for (const std::string& one : given) {
    if (!fs::is_directory(one)) {
      files.push_back(input_path(one));
      continue;
    }
    const size_t first = files.size();
    for (const auto& entry : fs::recursive_directory_iterator(one)) {
      if (entry.is_regular_file()) files.push_back(entry.path().string());
    }
    require(files.size() > first, "directory ", one, " holds no files");
    std::sort(files.begin() + static_cast<ptrdiff_t>(first), files.end());
  }
  return files;
}

int train(const TrainArguments& arguments) {
  const TokenizerKind kind = tokenizer_kind(arguments.kind);
  require(!arguments.cased || kind == TokenizerKind::wordpiece, "--cased is for --kind wordpiece; ", arguments.kind,
          " always keeps capitals");
  TokenizerTrainer trainer(
      {.kind = kind,
       .vocabulary_size = arguments.vocabulary_size,
       .minimum_frequency = arguments.minimum_frequency,
       .special_tokens = arguments.special.empty() ? usual_special_tokens(kind) : arguments.special,
       .lower_case = !arguments.cased,
       .threads = arguments.threads});
  const auto start = std::chrono::steady_clock::now();
  for (const std::string& file : files_of(arguments.texts)) {
    trainer.add_file(file);
    const CountedWords counted = trainer.counted();
    std::cerr << "counted " << counted.bytes << " bytes: " << counted.words << " words, " << counted.distinct
              << " distinct, " << counted.memory_bytes / 1000000 << " MB of memory (" << file << ")\n";
  }
  const Tokenizer tokenizer = trainer.train();
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  tokenizer.save(arguments.out);
  std::cerr << "trained in " << seconds.count() << " s\n";
  if (tokenizer.vocabulary_size() < arguments.vocabulary_size) {
    std::cerr << "the text yields " << tokenizer.vocabulary_size() << " tokens, fewer than the "
              << arguments.vocabulary_size << " asked for\n";
  }
  std::cout << arguments.out << ": " << tokenizer.kind() << ", " << tokenizer.vocabulary_size() << " tokens, "
            << tokenizer.hash() << '\n';
  return 0;
}

void print_ids(const std::vector<TokenId>& ids, bool count) {
  std::string line;
  if (count) line = std::to_string(ids.size());
  for (size_t i = 0; !count && i < ids.size(); ++i) line += (i ? " " : "") + std::to_string(ids[i]);
  std::cout << line << '\n';
}

std::vector<std::string_view> lines_of(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    lines.push_back(text.substr(0, text.find('\n')));
    text.remove_prefix(std::min(text.size(), lines.back().size() + 1));
  }
  return lines;
}

/// A line a token: id, type, which text, first byte, end, spelling.
void print_annotated(const Tokenizer& tokenizer, const Encoding& encoding) {
  for (size_t i = 0; i < encoding.ids.size(); ++i) {
    const TextSpan& span = encoding.spans[i];
    std::cout << encoding.ids[i] << '\t' << encoding.type_ids[i] << '\t' << span.text << '\t' << span.begin << '\t'
              << span.end << '\t' << tokenizer.token(encoding.ids[i]) << '\n';
  }
}

int encode_annotated(const TextArguments& arguments) {
  const Tokenizer tokenizer = Tokenizer::load(arguments.tokenizer);
  const std::string first = read_text(input_path(arguments.input));
  require(arguments.pair.empty() || arguments.pair != arguments.input, "--pair: both texts are ", arguments.input);
  print_annotated(tokenizer, arguments.pair.empty()
                                 ? tokenizer.encode_single(first)
                                 : tokenizer.encode_pair(first, read_text(input_path(arguments.pair))));
  return 0;
}

int encode(const TextArguments& arguments) {
  if (arguments.annotated || !arguments.pair.empty()) return encode_annotated(arguments);
  const Tokenizer tokenizer = Tokenizer::load(arguments.tokenizer);
  const std::string all = read_text(input_path(arguments.input));
  const std::vector<std::string_view> texts =
      arguments.lines ? lines_of(all) : std::vector<std::string_view>{std::string_view(all)};
  if (!arguments.ordinary && !arguments.with_template) {
    for (const auto& ids : tokenizer.encode_batch(texts, arguments.threads)) print_ids(ids, arguments.count);
    return 0;
  }
  for (const std::string_view text : texts) {
    std::vector<TokenId> ids;
    if (arguments.with_template) ids = tokenizer.encode_with_template(text);
    if (!arguments.with_template) tokenizer.encode_ordinary(text, ids);
    print_ids(ids, arguments.count);
  }
  return 0;
}

/// Numbers with anything but digits between them.
std::vector<TokenId> parse_ids(std::string_view line) {
  std::vector<TokenId> ids;
  for (size_t at = 0; at < line.size();) {
    if (line[at] < '0' || line[at] > '9') {
      require(std::string_view(" \t\r\n,[]").find(line[at]) != std::string_view::npos, "decoding: '", line[at],
              "' is no part of a list of ids");
      ++at;
      continue;
    }
    uint64_t id = 0;
    for (; at < line.size() && line[at] >= '0' && line[at] <= '9'; ++at) {
      id = std::min<uint64_t>(id * 10 + static_cast<uint64_t>(line[at] - '0'), UINT32_MAX);
    }
    ids.push_back(static_cast<TokenId>(id));
  }
  return ids;
}

int decode(const TextArguments& arguments) {
  const Tokenizer tokenizer = Tokenizer::load(arguments.tokenizer);
  const std::string all = read_text(input_path(arguments.input));
  const auto write = [&](std::string_view line) {
    const std::vector<TokenId> ids = parse_ids(line);
    std::cout << (arguments.text_only ? tokenizer.decode_text(ids) : tokenizer.decode(ids));
  };
  if (!arguments.lines) write(all);
  for (const std::string_view line : arguments.lines ? lines_of(all) : std::vector<std::string_view>()) {
    write(line);
    std::cout << '\n';
  }
  std::cout.flush();
  return 0;
}

void show_named(const Tokenizer& tokenizer, const char* name, std::optional<TokenId> id) {
  if (id) std::cout << name << *id << " " << tokenizer.token(*id) << '\n';
}

int show(const TextArguments& arguments) {
  const Tokenizer tokenizer = Tokenizer::load(arguments.tokenizer);
  std::cout << "kind        " << tokenizer.kind() << (tokenizer.lossless() ? ", gives any bytes back" : "") << '\n'
            << "vocabulary  " << tokenizer.vocabulary_size() << '\n'
            << "hash        " << tokenizer.hash() << '\n';
  show_named(tokenizer, "begin       ", tokenizer.begin_token());
  show_named(tokenizer, "end         ", tokenizer.end_token());
  show_named(tokenizer, "unknown     ", tokenizer.unknown_token());
  for (const AddedToken& token : tokenizer.added_tokens()) {
    std::cout << "added       " << token.id << ' ' << token.content << (token.special ? " (special)" : "") << '\n';
  }
  for (TokenId id = 0; arguments.all_tokens && id < tokenizer.vocabulary_size(); ++id) {
    std::cout << id << '\t' << tokenizer.token(id) << '\n';
  }
  return 0;
}

struct ConvertArguments {
  std::string tokenizer, out;
};

int convert(const ConvertArguments& arguments) {
  const Tokenizer tokenizer = Tokenizer::load(arguments.tokenizer);
  tokenizer.save(arguments.out);
  std::cout << arguments.out << ": " << tokenizer.kind() << ", " << tokenizer.vocabulary_size() << " tokens, "
            << tokenizer.hash() << '\n';
  return 0;
}

using Action = std::function<int()>;

void declare_train(CommandLine app, Action& chosen) {
  auto arguments = std::make_shared<TrainArguments>();
  app.add_option("texts", arguments->texts, "Text files, plain, .gz or .zst; directories of them; - for standard input")
      .required();
  app.add_option("-o,--out", arguments->out, "Directory for tokenizer.json and tokenizer_config.json, or a .json file")
      .required();
  app.add_option(
         "-k,--kind", arguments->kind,
         "gpt2, cl100k (byte-level BPE), words-bpe, words, characters, wordpiece (BERT) or unigram (SentencePiece)")
      .capture_default_str();
  app.add_option("-n,--vocabulary-size", arguments->vocabulary_size, "Tokens, special ones included")
      .capture_default_str();
  app.add_option("--minimum-frequency", arguments->minimum_frequency, "Leave out pairs (or words) seen less often")
      .capture_default_str();
  app.add_option(
      "--special", arguments->special,
      "Special tokens, in order; they get the first ids (without: those usual for the kind, <|endoftext|> or "
      "BERT's or T5's)");
  app.add_flag("--cased", arguments->cased, "wordpiece: keep capitals and accents");
  app.add_option("--threads", arguments->threads, "Threads (0: all of this machine)").capture_default_str();
  app.footer(
      "Examples:\n"
      "  lathe tokenizer train books/ --out tokenizer --vocabulary-size 32000\n"
      "  lathe tokenizer train a.txt b.txt.zst --kind cl100k --special '<|endoftext|>' '<|pad|>' --out tokenizer.json");
  app.callback([arguments, &chosen] { chosen = [arguments] { return train(*arguments); }; });
}

void declare_encode(CommandLine app, Action& chosen) {
  auto arguments = std::make_shared<TextArguments>();
  app.add_option("tokenizer", arguments->tokenizer, kTokenizerFiles).required();
  app.add_option("text", arguments->input, "Text file, - for standard input").capture_default_str();
  app.add_flag("--lines", arguments->lines, "Each line is a text of its own; its ids are a line");
  app.add_flag("--count", arguments->count, "Print how many ids instead of the ids");
  app.add_flag("--ordinary", arguments->ordinary, "Added tokens in the text are text like any other");
  app.add_flag("--template", arguments->with_template, "Put around it what the tokenizer's post-processor says");
  Option annotated = app.add_flag("--annotated", arguments->annotated,
                                  "As --template, a line a token: id, type, text, first byte and end in it, spelling");
  app.add_option("--pair", arguments->pair, "File of a second text; both are annotated");
  for (const char* other : {"--lines", "--count", "--ordinary"}) annotated.excludes(other);
  app.add_option("--threads", arguments->threads, "Threads (0: all of this machine)").capture_default_str();
  app.footer(
      "Examples:\n"
      "  echo -n 'Hello world' | lathe tokenizer encode gpt2/\n"
      "  lathe tokenizer encode tokenizer.json book.txt --count\n"
      "  lathe tokenizer encode bert/ question.txt --pair passage.txt");
  app.callback([arguments, &chosen] { chosen = [arguments] { return encode(*arguments); }; });
}

void declare_decode(CommandLine app, Action& chosen) {
  auto arguments = std::make_shared<TextArguments>();
  app.add_option("tokenizer", arguments->tokenizer, kTokenizerFiles).required();
  app.add_option("ids", arguments->input, "File of ids, - for standard input").capture_default_str();
  app.add_flag("--lines", arguments->lines, "Each line of ids is a text of its own");
  app.add_flag("--text", arguments->text_only, "Without special tokens and as valid UTF-8, for people to read");
  app.footer(
      "Examples:\n"
      "  echo 15496 995 | lathe tokenizer decode gpt2/\n"
      "  lathe tokenizer encode gpt2/ book.txt | lathe tokenizer decode gpt2/ | cmp - book.txt");
  app.callback([arguments, &chosen] { chosen = [arguments] { return decode(*arguments); }; });
}

void declare_show(CommandLine app, Action& chosen) {
  auto arguments = std::make_shared<TextArguments>();
  app.add_option("tokenizer", arguments->tokenizer, kTokenizerFiles).required();
  app.add_flag("--tokens", arguments->all_tokens, "List all tokens with their ids");
  app.footer("Examples:\n  lathe tokenizer show gpt2/\n  lathe tokenizer show gpt2/ --tokens");
  app.callback([arguments, &chosen] { chosen = [arguments] { return show(*arguments); }; });
}

void declare_convert(CommandLine app, Action& chosen) {
  auto arguments = std::make_shared<ConvertArguments>();
  app.add_option("tokenizer", arguments->tokenizer, kTokenizerFiles).required();
  app.add_option("-o,--out", arguments->out, "Directory for tokenizer.json and tokenizer_config.json, or a .json file")
      .required();
  app.footer("Examples:\n  lathe tokenizer convert spiece.model --out tokenizer/");
  app.callback([arguments, &chosen] { chosen = [arguments] { return convert(*arguments); }; });
}

Action declare(CommandLine app) {
  app.require_subcommand();
  auto chosen = std::make_shared<Action>();
  declare_train(app.add_subcommand("train", "Learn a tokenizer from text"), *chosen);
  declare_encode(app.add_subcommand("encode", "Turn text into token ids"), *chosen);
  declare_decode(app.add_subcommand("decode", "Turn token ids into text"), *chosen);
  declare_convert(app.add_subcommand("convert", "Write a tokenizer of any format as tokenizer.json"), *chosen);
  declare_show(app.add_subcommand("show", "Describe a tokenizer"), *chosen);
  return [chosen] { return (*chosen)(); };
}

const bool kProvided = provide_command({"tokenizer", "Train and use tokenizers", declare});

}  // namespace
}  // namespace lathe::cli
