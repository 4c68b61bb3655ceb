#include "tests/train/tiny_run_support.h"

#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <map>
#include <thread>

#include "lathe/base/error.h"
#include "lathe/tensor/random.h"

namespace lathe::test {
namespace {

namespace fs = std::filesystem;

constexpr const char* kJob = R"(run = "run"
[model]
model_type = "gpt2"
vocab_size = 300
hidden_size = 32
num_hidden_layers = 2
num_attention_heads = 4
max_position_embeddings = 16
resid_pdrop = 0.1
[[data.corpus]]
path = "shards"
[optimizer]
learning_rate = 1e-3
[schedule]
warmup_steps = 2
[training]
steps = 20
micro_batch = 4
dtype = "f32"
[save]
every = 10
)";

/// Lines of words that repeat, so that there is something to learn.
std::string some_text() {
  const char* words[] = {"the", "cat", "sat", "on", "a", "mat", "and", "saw", "dogs", "run"};
  Random random = Random(3).fork("text");
  std::string text;
  for (uint64_t i = 0; i < 8000; ++i) text += std::string(words[random.bits(i) % 10]) + (i % 9 == 8 ? ".\n" : " ");
  return text;
}

void must(const ProgramResult& result) { require(result.status == 0, result.errors); }

}  // namespace

TinyRun::TinyRun(std::vector<std::string> changes) : changes_(std::move(changes)) {
  std::string name = (fs::temp_directory_path() / "lathe-run-XXXXXX").string();
  require(mkdtemp(name.data()) != nullptr, "cannot make ", name);
  directory_ = name;
  std::ofstream(path("text.txt")) << some_text();
  std::ofstream(job()) << kJob;
  must(run_lathe({"tokenizer", "train", path("text.txt"), "--vocabulary-size", "300", "--out", path("tokenizer")}));
  must(run_lathe({"data", "prepare", path("text.txt"), "--tokenizer", path("tokenizer"), "--out", shards(),
                  "--held-out", "0.05"}));
  for (const std::string& fixed : {"run=" + run(), "data.corpus=[{path=\"" + shards() + "\"}]"})
    changes_.insert(changes_.begin(), fixed);
}

TinyRun::~TinyRun() {
  std::error_code ignored;
  fs::remove_all(directory_, ignored);
}

std::string TinyRun::checkpoint(int64_t step) const {
  std::string digits = std::to_string(step);
  return run() + "/checkpoints/step-" + std::string(8 - digits.size(), '0') + digits;
}

static std::vector<std::string> with_changes(std::vector<std::string> words, const std::vector<std::string>& changes,
                                             const std::vector<std::string>& options) {
  for (const std::string& change : changes) words.insert(words.end(), {"--set", change});
  words.insert(words.end(), options.begin(), options.end());
  return words;
}

ProgramResult TinyRun::train(std::vector<std::string> options) const {
  return run_lathe(with_changes({"train", job(), "--threads", "1"}, changes_, options));
}

ProgramResult TinyRun::resume(std::vector<std::string> options) const {
  return run_lathe(with_changes({"train", "--resume", run(), "--threads", "1"}, {}, options));
}

std::string content_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

void flip_bit(const std::string& path, size_t byte, int bit) {
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  file.seekg(std::streamoff(byte));
  char value = char(file.get() ^ 1 << bit);
  file.seekp(std::streamoff(byte));
  file.put(value);
}

std::map<std::string, std::string> files_of(const std::string& directory) {
  std::map<std::string, std::string> files;
  for (const auto& entry : fs::recursive_directory_iterator(directory))
    if (entry.is_regular_file())
      files[entry.path().lexically_relative(directory).string()] = content_of(entry.path().string());
  return files;
}

Background::Background(std::vector<std::string> arguments) : output_(std::tmpfile()) {
  arguments.insert(arguments.begin(), lathe_program());
  std::vector<char*> words;
  for (std::string& argument : arguments) words.push_back(argument.data());
  words.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, fileno(output_), STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions, fileno(output_), STDERR_FILENO);
  int error = posix_spawn(&process_, words[0], &actions, nullptr, words.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  require(error == 0, "cannot start ", arguments[0], ": ", std::strerror(error));
}

Background::~Background() {
  if (running()) signal(SIGKILL);
  wait();
  std::fclose(output_);
}

void Background::signal(int number) const { kill(process_, number); }

int Background::wait() {
  int status = 0;
  if (status_ < 0 && waitpid(process_, &status, 0) == process_)
    status_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return status_;
}

bool Background::running() {
  int status = 0;
  if (status_ < 0 && waitpid(process_, &status, WNOHANG) == process_)
    status_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return status_ < 0;
}

std::string Background::output() const {
  std::string text(size_t(1) << 20, '\0');
  ssize_t count = pread(fileno(output_), text.data(), text.size(), 0);
  text.resize(size_t(std::max<ssize_t>(count, 0)));
  return text;
}

bool wait_until(const std::function<bool()>& condition, double seconds) {
  using Clock = std::chrono::steady_clock;
  auto end = Clock::now() + std::chrono::duration<double>(seconds);
  while (!condition()) {
    if (Clock::now() > end) return false;
    std::this_thread::sleep_for(std::chrono::microseconds(100));
  }
  return true;
}

}  // namespace lathe::test
