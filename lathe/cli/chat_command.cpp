#include <algorithm>
#include <csignal>
#include <filesystem>
#include <iostream>
#include <map>
#include <memory>

#include "lathe/base/durable_file.h"
#include "lathe/base/interrupt.h"
#include "lathe/base/json.h"
#include "lathe/base/line_editor.h"
#include "lathe/base/log.h"
#include "lathe/base/nearest.h"
#include "lathe/base/numbers.h"
#include "lathe/base/text_input.h"
#include "lathe/cli/command.h"
#include "lathe/cli/command_line.h"
#include "lathe/cli/compute_options.h"
#include "lathe/cli/model_argument.h"
#include "lathe/cli/sampling_options.h"
#include "lathe/cli/template_options.h"
#include "lathe/files/load_model.h"
#include "lathe/infer/chat_session.h"
#include "lathe/infer/model_directory.h"
#include "lathe/tensor/device_choice.h"

namespace lathe::cli {
namespace {

constexpr const char* kHelp = R"(
Examples:
  lathe chat smollm2/
  lathe chat smollm2/ --system "You answer in one sentence." --temperature 0.3
  echo "What is a lathe?" | lathe chat smollm2/

The model is a run, or any directory that `lathe generate` takes, with a chat template. A line is a message; a line that
begins with / is a command, and /help lists them. Answers go to standard output as they are written, all else to
standard error. Ctrl-C ends an answer, not the chat. When standard input is no terminal, each of its lines is a message
or a command, and the first mistake ends the chat.)";

constexpr const char* kCommands = R"(/system TEXT   begin anew with another system message; without TEXT: show it
/reset         begin anew with the same system message
/save FILE     write the messages to FILE, as JSON
/load FILE     go on after the messages of FILE
/help          show this
/exit          end, as Ctrl-D does
A line that begins with // is a message that begins with /. Ctrl-C ends an answer; Ctrl-J begins another line of a
message, as does a pasted line end.)";

struct Options {
  std::string model, adapter;
  std::optional<int64_t> step;
  TemplateOptions chat_template;
  SamplingChoice sampling{.usual_tokens = 1024};
  ComputeOptions compute;
  int64_t context = 0;
};

/// The dialogue with a person or a script.
class Chat {
 public:
  Chat(ChatSession& session, const Rehearsal& step) : session_(session), step_(step) {}

  int run() {
    if (editor_.terminal()) std::signal(SIGINT, SIG_IGN);  // it ends an answer, and means nothing else
    while (std::optional<std::string> line = editor_.read("> ")) {
      if (line->find_first_not_of(" \t\n") == std::string::npos) continue;
      try {
        if (!take(*line)) break;
      } catch (const Error& error) {
        if (!editor_.terminal()) throw;
        std::cerr << "lathe: " << error.what() << std::endl;
      }
      if (ends()) return interrupt_status();
    }
    return 0;
  }

 private:
  ChatSession& session_;
  const Rehearsal& step_;
  LineEditor editor_;
  bool interrupted_ = false;

  /// False: the chat is over.
  bool take(const std::string& line) {
    if (line[0] != '/') return answer(line), true;
    if (line.starts_with("//")) return answer(line.substr(1)), true;
    size_t end = line.find(' ');
    std::string name = line.substr(0, end), argument;
    if (end != std::string::npos && line.find_first_not_of(' ', end) != std::string::npos)
      argument = line.substr(line.find_first_not_of(' ', end));
    if (name == "/exit" || name == "/quit") return false;
    using Do = void (Chat::*)(const std::string&);
    static const std::map<std::string, Do> all = {{"/system", &Chat::system},
                                                  {"/reset", &Chat::reset},
                                                  {"/save", &Chat::save},
                                                  {"/load", &Chat::load},
                                                  {"/help", &Chat::help}};
    auto found = all.find(name);
    std::vector<std::string> names = {"/exit"};
    for (const auto& [known, action] : all) names.push_back(known);
    require(found != all.end(), "there is no command ", name, did_you_mean(name, names), "; /help lists them");
    (this->*found->second)(argument);
    return true;
  }

  void answer(const std::string& message) {
    InterruptGuard guard(editor_.terminal() ? "" : InterruptGuard::kStopping);
    Generated answer = session_.answer(
        message, {.on_text = [](size_t, const std::string& piece) { std::cout << piece << std::flush; },
                  .stop = interrupted,
                  .run_step = [&](const std::function<void()>& step) { replay(step_.placement, step); }});
    std::cout << std::endl;
    interrupted_ = interrupted();
    show_speed(answer);
  }

  /// Whether a signal is to end the chat: in a terminal Ctrl-C ends just the answer.
  bool ends() const { return interrupted_ && !(editor_.terminal() && interrupt_status() == 128 + SIGINT); }

  static void show_speed(const Generated& answer) {
    auto written = double(answer.tokens.size());
    double seconds = answer.seconds - answer.prompt_seconds;
    std::string ended;
    if (answer.finish == Finish::length) ended = ", cut at --max-tokens";
    if (answer.finish == Finish::context) ended = ", cut at the end of the context; /reset begins anew";
    if (answer.finish == Finish::interrupted) ended = ", interrupted";
    std::string rate =
        written > 1 && seconds > 0 ? text(", ", format_fixed((written - 1) / seconds, 1), " tokens/s") : "";
    log_info("[", answer.tokens.size(), " tokens", rate, "; ", answer.prompt_tokens, " new in the prompt, ",
             format_duration(answer.prompt_seconds), ended, "]");
  }

  void help(const std::string&) { std::cerr << kCommands << std::endl; }

  void system(const std::string& text) {
    if (text.empty()) {
      std::cerr << (session_.system().empty() ? "there is no system message" : session_.system()) << std::endl;
      return;
    }
    session_.set_system(text);
    log_info("a new conversation with this system message");
  }

  void reset(const std::string&) {
    session_.reset();
    log_info("a new conversation");
  }

  void save(const std::string& path) {
    require(!path.empty(), "/save needs the name of a file");
    replace_file(path, print_json(nlohmann::ordered_json{{"messages", session_.messages()}}));
    log_info(session_.messages().size(), " messages written to ", path);
  }

  void load(const std::string& path) {
    require(!path.empty(), "/load needs the name of a file");
    session_.set_messages(read_conversation(read_text(path), path).messages);
    log_info(session_.messages().size(), " messages read from ", path);
  }
};

DecoderLimits limits_of(const Options& options, const ModelConfig& config) {
  constexpr int64_t kUsual = 8192;  // a cache for all of a large context may take more than the weights
  int64_t most = config.max_position_embeddings;
  require(options.context <= most, "--context ", options.context, ": the model's own context has ", most, " tokens");
  int64_t length = options.context > 0 ? options.context : std::min(most, kUsual);
  return {.sequences = 1, .length = length, .step_tokens = std::min(length, Generator::kChunk)};
}

int chat(Options& options) {
  std::string path = model_directory(options.model, options.step);
  ModelDirectory directory(path, options.adapter);
  if (directory.adapter) log_info(directory.adapter->description());
  directory.generation.num_beams = std::nullopt;  // answers are shown as they are written
  Sampling sampling = sampling_of(options.sampling, directory.generation, path);
  ChatTemplate chat_template = chat_template_of(path, options.chat_template);
  if (auto end = chat_template.end_of_turn(directory.tokenizer)) directory.end_tokens.push_back(*end);
  Device device = choose_device(options.compute.device);
  DType dtype = dtype_of(options.compute, device, directory.files);
  DecoderLimits limits = limits_of(options, directory.config);
  auto load = [&] { return load_model(directory.files, directory.config, dtype, directory.adapter_or_null()); };
  InferencePlan plan = plan_inference(load, directory.config, dtype, limits, device);
  require_fits(plan, limits, dtype, memory_budget(device));

  Runtime runtime(device, plan.capacity);
  std::unique_ptr<Model> model = load();
  Graphs graphs(1);
  Decoder decoder(*model, directory.config, dtype, limits, &graphs);
  Generator generator(decoder, directory.tokenizer, directory.end_tokens, sampling.generation);
  ChatSession session(generator, directory.tokenizer, chat_template, options.chat_template.values);
  if (!options.chat_template.system.empty()) session.set_system(options.chat_template.system);
  log_info(options.model, ": ", name_of(dtype), ", a context of ", format_count(limits.length), " tokens, memory ",
           format_bytes(plan.capacity), "; /help lists commands");
  return Chat(session, plan.step).run();
}

std::function<int()> declare(CommandLine app) {
  auto options = std::make_shared<Options>();
  app.add_option("model", options->model, "a run, a model's directory or a GGUF file").required();
  declare_adapter(app, options->adapter);
  app.add_option("--step", options->step, "checkpoint of the run; the newest by default").type_name("N");
  declare_template(app, options->chat_template);
  app.add_option("--context", options->context, "most tokens of a conversation; the model's own, at most 8192")
      .between(16, int64_t{1} << 30)
      .type_name("N");
  declare_sampling(app, options->sampling);
  declare_compute(app, options->compute);
  app.footer(kHelp);
  return [options] { return chat(*options); };
}

const bool provided = provide_command({"chat", "Talk with a model in the terminal", declare});

}  // namespace
}  // namespace lathe::cli
