#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>
#include <thread>

#include "lathe/base/error.h"
#include "lathe/base/numbers.h"
#include "lathe/tensor/random.h"
#include "tests/support/checkout.h"
#include "tests/support/program.h"

namespace lathe {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

std::string job(const std::string& name) { return (checkout() / "jobs" / (name + ".toml")).string(); }

TEST(SlowPlanCommand, ExitsWithZeroWhereTheJobFits) {
  ProgramResult result = run_lathe({"plan", job("tiny-10m"), "--budget", "64GiB"});
  EXPECT_EQ(result.status, 0) << result.errors;
  EXPECT_THAT(result.output, HasSubstr("10,942,464 weights"));
  EXPECT_THAT(result.output, HasSubstr("it fits"));
}

TEST(SlowPlanCommand, ProposesSettingsWithWhichTheJobThenFits) {
  ProgramResult result = run_lathe({"plan", job("tiny-10m"), "--budget", "400MiB", "--json"});
  EXPECT_EQ(result.status, 1) << result.errors;
  nlohmann::json plan = nlohmann::json::parse(result.output);
  EXPECT_FALSE(plan.at("fits").get<bool>());
  std::vector<std::string> words = {"plan", job("tiny-10m"), "--budget", "400MiB"};
  for (const auto& setting : plan.at("advice").at("set"))
    words.insert(words.end(), {"--set", setting.get<std::string>()});
  ProgramResult again = run_lathe(words);
  EXPECT_EQ(again.status, 0) << again.output << again.errors;
}

TEST(SlowPlanCommand, NamesTheLeastOfAJobThatFitsNowhere) {
  ProgramResult result = run_lathe({"plan", job("llama-70b"), "--budget", "16GiB"});
  EXPECT_EQ(result.status, 1);
  EXPECT_THAT(result.output, HasSubstr("No setting of micro_batch"));
}

/// A directory with a text, its tokenizer and its shards.
class Prepared {
 public:
  Prepared() {
    std::string name = (fs::temp_directory_path() / "lathe-plan-XXXXXX").string();
    require(mkdtemp(name.data()) != nullptr, "cannot make ", name);
    directory_ = name;
    const char* words[] = {"the", "cat", "sat", "on", "a", "mat", "and", "saw", "dogs", "run"};
    Random random(3);
    std::ofstream text(path("text.txt"));
    for (uint64_t i = 0; i < 100000; ++i) text << words[random.bits(i) % 10] << (i % 9 == 8 ? ".\n" : " ");
    text.close();
    must({"tokenizer", "train", path("text.txt"), "--vocabulary-size", "300", "--out", path("tokenizer")});
    must({"data", "prepare", path("text.txt"), "--tokenizer", path("tokenizer"), "--out", path("shards"), "--held-out",
          "0.05"});
  }
  ~Prepared() { fs::remove_all(directory_); }
  std::string path(const std::string& name) const { return (directory_ / name).string(); }

 private:
  fs::path directory_;
  void must(const std::vector<std::string>& arguments) {
    ProgramResult result = run_lathe(arguments);
    require(result.status == 0, result.errors);
  }
};

/// The job tiny-10m on that text, at most three steps of it.
std::vector<std::string> short_run(const Prepared& prepared) {
  std::vector<std::string> words = {job("tiny-10m")};
  for (const std::string& setting :
       {"run=" + prepared.path("run"), "data.corpus=[{path=\"" + prepared.path("shards") + "\"}]",
        std::string("training.steps=3"), std::string("schedule.warmup_steps=1"), std::string("training.micro_batch=8"),
        std::string("evaluation.batches=1")})
    words.insert(words.end(), {"--set", setting});
  return words;
}

ProgramResult run_with(std::vector<std::string> words, const std::vector<std::string>& more) {
  words.insert(words.end(), more.begin(), more.end());
  return run_lathe(words);
}

/// What a plan and a training run print alike: all but the process as measured, and what depends on it.
std::string tensors_in(const std::string& output) {
  size_t first = output.find("peak of"), last = output.find("program and libraries");
  require(first < last && last < output.size(), "no table of memory in\n", output);
  return output.substr(first, last - first);
}

TEST(SlowPlanCommand, ShowsTheTensorsThatTrainingShows) {
  Prepared prepared;
  std::vector<std::string> settings = short_run(prepared);
  settings.insert(settings.end(), {"--set", "sample.every=1", "--set", "sample.prompts=[\"the cat sat\",\"on\"]"});
  settings.insert(settings.end(), {"--set", "sample.max_new_tokens=9"});
  std::string planned = tensors_in(run_with({"plan"}, settings).output);
  ProgramResult trained = run_with({"train"}, settings);
  EXPECT_EQ(trained.status, 0) << trained.errors;
  EXPECT_EQ(planned, tensors_in(trained.errors));
  EXPECT_THAT(planned, HasSubstr("sample"));
}

TEST(SlowPlanCommand, CountsSamplesBeforeThereIsATokenizer) {
  ProgramResult result = run_lathe({"plan", job("tiny-10m"), "--set", "sample.prompts=[\"The\"]", "--json", "--set",
                                    "data.corpus=[{path=\"/nowhere/shards\"}]"});
  EXPECT_THAT(result.errors, HasSubstr("/nowhere/shards is not there yet"));
  nlohmann::json sample = nlohmann::json::parse(result.output).at("episodes").at("sample");
  EXPECT_GT(sample.at("by_purpose").at("kv_cache").get<int64_t>(), 0);
}

int64_t anonymous_bytes(pid_t process) {
  std::ifstream status(text("/proc/", process, "/status"));
  for (std::string line; std::getline(status, line);)
    if (line.starts_with("RssAnon:")) return 1024 * std::atoll(line.c_str() + 8);
  return 0;
}

/// Runs `lathe` and returns the most RssAnon that it was seen with.
int64_t most_memory_of(std::vector<std::string> arguments) {
  std::string program = lathe_program();
  std::vector<char*> words = {program.data()};
  for (std::string& word : arguments) words.push_back(word.data());
  words.push_back(nullptr);
  pid_t process = fork();
  if (process == 0) {
    dup2(open("/dev/null", O_WRONLY), 2);
    execv(program.c_str(), words.data());
    _exit(127);
  }
  int64_t most = 0;
  int status = 0;
  while (waitpid(process, &status, WNOHANG) == 0) {
    most = std::max(most, anonymous_bytes(process));
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  require(WIFEXITED(status) && WEXITSTATUS(status) == 0, "training ended with status ", status);
  return most;
}

TEST(SlowPlanCommand, ForetellsTheMemoryThatTrainingTakes) {
  Prepared prepared;
  std::vector<std::string> settings = short_run(prepared);
  nlohmann::json planned = nlohmann::json::parse(run_with({"plan", "--json", "--budget", "8GiB"}, settings).output);
  std::vector<std::string> train = {"train"};
  train.insert(train.end(), settings.begin(), settings.end());
  int64_t measured = most_memory_of(train), needed = planned.at("needed").get<int64_t>();
  std::cout << "planned " << format_bytes(needed) << " (tensors " << format_bytes(planned.at("tensors").get<int64_t>())
            << "), measured " << format_bytes(measured) << '\n';
  EXPECT_NEAR(double(measured), double(needed), 0.05 * double(needed) + 60e6);
  std::ifstream log(prepared.path("run/log.jsonl"));
  std::string first;
  std::getline(log, first);
  EXPECT_EQ(nlohmann::json::parse(first).at("memory").get<int64_t>(), planned.at("tensors").get<int64_t>());
}

}  // namespace
}  // namespace lathe
