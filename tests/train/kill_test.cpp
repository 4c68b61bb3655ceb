// A run that is killed a hundred times ends with the bits of one that never was.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <fstream>
#include <random>
#include <thread>

#include "lathe/train/run_log.h"
#include "tests/train/tiny_run_support.h"

namespace lathe {
namespace {

namespace fs = std::filesystem;
using test::Background;
using test::TinyRun;

constexpr int kKills = 100;
constexpr int kKillsInASave = 30;  // aimed at; not every shot hits

/// Whether there is an unfinished checkpoint, begun by who lives since `birth`.
bool save_is_under_way(const TinyRun& run, fs::file_time_type birth) {
  std::error_code none;
  for (const auto& entry : fs::directory_iterator(run.run() + "/checkpoints", none))
    if (entry.path().extension() == ".partial" && entry.last_write_time(none) > birth) return !none;
  return false;
}

/// The step that the newest whole checkpoint has; 0 without any.
int64_t saved_step(const TinyRun& run) {
  int64_t newest = 0;
  std::error_code none;
  for (const auto& entry : fs::directory_iterator(run.run() + "/checkpoints", none))
    if (entry.path().extension().empty())
      newest = std::max<int64_t>(newest, std::stoll(entry.path().filename().string().substr(5)));
  return newest;
}

/// What each step did to the weights, by the log.
std::vector<std::pair<double, double>> history(const TinyRun& run) {
  std::vector<std::pair<double, double>> all;
  for (const StepReport& step : read_history(run.run()).steps) all.emplace_back(step.loss, step.gradient_norm);
  return all;
}

/// One life: from a resume to kill -9. True when it hit a save.
bool live_and_die(const TinyRun& run, const std::vector<std::string>& arguments, bool in_save, std::mt19937& random) {
  auto microseconds = [&](int most) { return std::chrono::microseconds(random() % unsigned(most)); };
  auto birth = fs::file_time_type::clock::now();
  Background life(arguments);
  if (in_save) {
    // At least one save passes first, so that lives go on from each other on the busiest machine.
    int64_t before = saved_step(run);
    while (life.running() && saved_step(run) == before) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    std::this_thread::sleep_for(microseconds(200000));
    while (life.running() && !save_is_under_way(run, birth)) std::this_thread::yield();
    std::this_thread::sleep_for(microseconds(3000));
  } else {
    std::this_thread::sleep_for(microseconds(500000));
  }
  EXPECT_TRUE(life.running()) << life.output();
  life.signal(SIGKILL);
  EXPECT_EQ(life.wait(), 128 + SIGKILL);
  return save_is_under_way(run, birth);
}

TEST(SlowKill, AtAHundredMomentsLeavesTheWeightsOfAnUndisturbedRun) {
  std::vector<std::string> changes = {"save.every=25", "training.steps=1000000", "schedule.curve=constant"};
  TinyRun killed(changes);
  std::vector<std::string> first = {
      "train", killed.job(),          "--threads", "1",
      "--set", "run=" + killed.run(), "--set",     "data.corpus=[{path=\"" + killed.shards() + "\"}]"};
  for (const std::string& change : changes) first.insert(first.end(), {"--set", change});
  std::vector<std::string> next = {"train", "--resume", killed.run(), "--threads", "1"};
  std::mt19937 random(1);
  int hits = 0;
  for (int kill = 0; kill < kKills; ++kill) {
    bool begun = fs::exists(killed.run() + "/job.toml");
    hits += live_and_die(killed, begun && saved_step(killed) > 0 ? next : first, kill % (kKills / kKillsInASave) == 0,
                         random);
  }
  RecordProperty("kills_in_a_save", hits);
  EXPECT_GE(hits, 10);
  std::string last = "training.steps=" + std::to_string(saved_step(killed) + 7);
  ProgramResult end = killed.resume({"--set", last});
  ASSERT_EQ(end.status, 0) << end.errors;

  TinyRun whole({"save.every=0", "schedule.curve=constant", last});
  ASSERT_EQ(whole.train().status, 0);
  int64_t step = saved_step(killed);
  ASSERT_EQ(saved_step(whole), step);
  EXPECT_GT(step, 100);
  for (const char* file : {"/model.safetensors", "/optimizer/model.safetensors", "/training_state.json"})
    EXPECT_EQ(test::content_of(killed.checkpoint(step) + file), test::content_of(whole.checkpoint(step) + file))
        << file;
  EXPECT_TRUE(history(killed) == history(whole));  // every step once, and the same
  std::cout << hits << " of " << kKills << " kills came during a save; " << step << " steps\n";
}

}  // namespace
}  // namespace lathe
