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
#include "lathe/tensor/runtime.h"
#include "tests/support/checkout.h"
#include "tests/support/program.h"
#include "tests/support/temporary_directory.h"

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

class EveryCard : public testing::TestWithParam<const char*> {};

TEST_P(EveryCard, IsPlannedForWithoutHavingIt) {
  ProgramResult result = run_lathe({"plan", job("gpt2-124m"), "--device", GetParam(), "--json"});
  ASSERT_EQ(result.status, 0) << result.errors << result.output;
  nlohmann::json plan = nlohmann::json::parse(result.output), device = plan.at("device");
  bool measured = std::string(GetParam()) == "h200";
  EXPECT_EQ(device.at("estimate").get<bool>(), !measured);
  EXPECT_FALSE(device.at("here").get<bool>());
  int64_t outside = device.at("context").get<int64_t>() + device.at("libraries").get<int64_t>();
  EXPECT_EQ(plan.at("needed").get<int64_t>(), plan.at("tensors").get<int64_t>() + outside);
  EXPECT_LT(plan.at("needed").get<int64_t>(), plan.at("budget").get<int64_t>());
  EXPECT_GT(plan.at("host").at("needed").get<int64_t>(), plan.at("process").get<int64_t>());
  double seconds = plan.at("estimated_seconds_per_step").get<double>();
  double least =
      plan.at("model_flops_per_step").get<double>() / plan.at("ceilings").at("flops_per_second").get<double>();
  EXPECT_GT(seconds, least);
  EXPECT_LT(seconds, 5 * least);
}

INSTANTIATE_TEST_SUITE_P(SlowPlanCommand, EveryCard, testing::Values("h200", "h100", "a100-80g", "rtx4090", "t4"));

TEST(SlowPlanCommand, SaysWhatOfAPlanForACardIsAnEstimate) {
  std::string sheet = run_lathe({"plan", job("tiny-10m"), "--device", "h100"}).output;
  EXPECT_THAT(sheet, HasSubstr("an estimate from the data sheet of the H100"));
  EXPECT_THAT(sheet, HasSubstr("CUDA's context, kernels and libraries (estimate)"));
  EXPECT_THAT(sheet, HasSubstr("needed on the host"));
  EXPECT_THAT(run_lathe({"plan", job("tiny-10m"), "--device", "h200"}).output, HasSubstr("as measured"));
}

TEST(SlowPlanCommand, RefusesWhatACardCannotComputeIn) {
  ProgramResult asked = run_lathe({"plan", job("tiny-10m"), "--device", "t4", "--set", "training.dtype=bf16"});
  EXPECT_EQ(asked.status, 1);
  EXPECT_THAT(asked.errors, HasSubstr("Tesla T4 (sm_75) does not compute in bf16"));
  EXPECT_THAT(asked.errors, HasSubstr("--set training.dtype=f32"));
  ProgramResult left_open = run_lathe({"plan", job("tiny-10m"), "--device", "t4", "--set", "training.dtype=auto"});
  EXPECT_THAT(left_open.output, HasSubstr("tokens a step, f32;"));
}

TEST(SlowPlanCommand, ProposesSettingsForACardThatAreThenPlannedToFit) {
  std::vector<std::string> words = {"plan",    job("llama-1.1b"), "--device",
                                    "rtx4090", "--set",           "training.micro_batch=64"};
  std::vector<std::string> as_json = words;
  as_json.push_back("--json");
  ProgramResult result = run_lathe(as_json);
  EXPECT_EQ(result.status, 1) << result.errors;
  nlohmann::json plan = nlohmann::json::parse(result.output);
  ASSERT_TRUE(plan.contains("advice")) << plan.at("least").dump();
  for (const auto& setting : plan.at("advice").at("set"))
    words.insert(words.end(), {"--set", setting.get<std::string>()});
  ProgramResult again = run_lathe(words);
  EXPECT_EQ(again.status, 0) << again.output << again.errors;
}

TEST(SlowPlanCommand, NeverProposesBf16ForACardWithoutIt) {
  ProgramResult result =
      run_lathe({"plan", job("llama-1.1b"), "--device", "t4", "--set", "training.dtype=f32", "--json"});
  EXPECT_EQ(result.status, 1) << result.errors;
  EXPECT_THAT(result.output, testing::Not(HasSubstr("training.dtype=bf16")));
}

TEST(SlowPlanCommand, HoldsTheHostsMemoryToABudgetOfItsOwn) {
  nlohmann::json plan = nlohmann::json::parse(
      run_lathe({"plan", job("tiny-10m"), "--device", "h200", "--budget", "1KiB", "--json"}).output);
  EXPECT_FALSE(plan.at("fits").get<bool>());
  EXPECT_LT(plan.at("host").at("needed").get<int64_t>(), plan.at("host").at("budget").get<int64_t>());
}

TEST(SlowPlanCommand, PlansByAProfileOfTheUsersOwn) {
  TemporaryDirectory directory;
  std::string card = directory.file("card.toml", R"(name = "My Card"
architecture = "sm_89"
memory = "2GiB"
context = "100MiB"
[measured]
f32_tflops = 10
bf16_tflops = 40
gigabytes_per_second = 500
)");
  nlohmann::json plan = nlohmann::json::parse(run_lathe({"plan", job("tiny-10m"), "--device", card, "--json"}).output);
  EXPECT_EQ(plan.at("device").at("name"), "My Card");
  EXPECT_EQ(plan.at("budget").get<int64_t>(), int64_t{2} << 30);
  EXPECT_EQ(plan.at("needed").get<int64_t>(), plan.at("tensors").get<int64_t>() + (int64_t{100} << 20));
}

TEST(SlowPlanCommand, NamesWhatItDoesNotKnow) {
  ProgramResult result = run_lathe({"plan", job("tiny-10m"), "--device", "h300"});
  EXPECT_EQ(result.status, 1);
  EXPECT_THAT(result.errors, HasSubstr("no device is called h300"));
}

TEST(GpuPlanCommand, PlansACardThatIsHalfFullAgainstWhatIsFree) {
  if (accelerators().gpus.empty()) GTEST_SKIP() << accelerators().why_none;
  int64_t taken = accelerators().gpus[0].free_bytes / 2;
  Runtime runtime({.backend = Backend::cuda}, taken);
  nlohmann::json plan =
      nlohmann::json::parse(run_lathe({"plan", job("tiny-10m"), "--device", "cuda", "--json"}).output);
  EXPECT_TRUE(plan.at("device").at("here").get<bool>());
  EXPECT_LE(plan.at("budget").get<int64_t>(), accelerators().gpus[0].memory_bytes - taken);
  EXPECT_GE(plan.at("budget").get<int64_t>(), accelerators().gpus[0].free_bytes - taken - (int64_t{1} << 30));
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
        std::string("training.device=cpu"), std::string("training.steps=3"), std::string("schedule.warmup_steps=1"),
        std::string("training.micro_batch=8"), std::string("evaluation.batches=1")})
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
