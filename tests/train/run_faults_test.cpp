// What can go wrong with a run, through the program: each ends with a clear error and leaves what was there intact.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <fstream>

#include "tests/train/tiny_run_support.h"

namespace lathe {
namespace {

namespace fs = std::filesystem;
using test::Background;
using test::files_of;
using test::TinyRun;
using test::wait_until;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

/// The program's whole complaint, for a run that must fail as a user's mistake does.
std::string complaint(const ProgramResult& result) {
  EXPECT_EQ(result.status, 1) << result.errors;
  size_t at = result.errors.rfind("\nlathe: ");
  return at == std::string::npos ? result.errors : result.errors.substr(at + 1);
}

/// All files of a checkpoint that a resumed run reads.
std::map<std::string, std::string> state_of(const TinyRun& run, int64_t step) {
  auto files = files_of(run.checkpoint(step));
  for (const char* depends_on_options : {"job.toml", "manifest.json"}) files.erase(depends_on_options);
  return files;
}

bool has_partials(const TinyRun& run) {
  for (const auto& entry : fs::recursive_directory_iterator(run.run()))
    if (entry.path().extension() == ".partial") return true;
  return false;
}

TEST(SlowJobFaults, NameTheFieldAndTheNearestOne) {
  TinyRun run;
  EXPECT_THAT(complaint(run.train({"--set", "optimizer.learning_rat=1"})),
              AllOf(HasSubstr("unknown field 'learning_rat'"), HasSubstr("'learning_rate'?")));
  EXPECT_THAT(complaint(run.train({"--set", "trainin.steps=1"})), HasSubstr("did you mean 'training'?"));
  EXPECT_THAT(complaint(run.train({"--set", "training.steps=-3"})), HasSubstr("training.steps"));
  EXPECT_THAT(complaint(run.train({"--set", "training.dtype=bf61"})),
              HasSubstr("must be one of \"auto\", \"f32\", \"bf16\""));
  EXPECT_THAT(complaint(run.train({"--set", "model.model_type=lama"})), HasSubstr("'llama'"));
  EXPECT_THAT(complaint(run.train({"--set", "format=2"})), AllOf(HasSubstr("format 2"), HasSubstr("newer")));
  EXPECT_THAT(complaint(run.train({"--set", "schedule.warmup_steps=20"})),
              HasSubstr("schedule.warmup_steps 20 must be below training.steps 20"));
  EXPECT_THAT(complaint(run.train({"--set", "model.num_attention_heads=5"})),
              HasSubstr("hidden_size 32 is no multiple of num_attention_heads 5"));
  EXPECT_THAT(complaint(run.train({"--set", "training.sequence_length=17"})),
              HasSubstr("training.sequence_length 17 is above model.max_position_embeddings 16"));
  EXPECT_FALSE(fs::exists(run.run()));
}

TEST(SlowDataFaults, AreFoundBeforeTheFirstStep) {
  TinyRun run;
  EXPECT_THAT(complaint(run.train({"--set", "model.vocab_size=64"})), AllOf(HasSubstr("vocab"), HasSubstr("64")));
  EXPECT_THAT(complaint(run.train({"--set", "model.max_position_embeddings=100000"})),
              HasSubstr("fewer than one sequence of 100000"));
  std::string other = run.path("other");
  ASSERT_EQ(run_lathe({"tokenizer", "train", run.path("text.txt"), "--vocabulary-size", "280", "--out", other}).status,
            0);
  EXPECT_THAT(complaint(run.train({"--set", "tokenizer.path=" + other})),
              AllOf(HasSubstr(other), HasSubstr("tokenizer"), HasSubstr(run.shards())));
  EXPECT_FALSE(fs::exists(run.run() + "/checkpoints/step-00000010"));
}

TEST(SlowMemoryFaults, AreFoundByThePlanBeforeAnythingIsWritten) {
  TinyRun run;
  std::string said = complaint(run.train({"--set", "model.hidden_size=16384", "--set", "model.num_hidden_layers=96"}));
  EXPECT_THAT(said, AllOf(HasSubstr("the run needs"), HasSubstr("are available here"), HasSubstr("weights")));
  EXPECT_FALSE(fs::exists(run.run()));
}

TEST(SlowDiskFaults, AreFoundBeforeTheFirstStepWhenTheDiskIsSmall) {
  TinyRun run;
  fs::create_directory(run.path("disk"));
  ProgramResult result =
      run_program({"unshare", "-m", "sh", "-c", "mount -t tmpfs -o size=1m none \"$0\" || exit 77; exec \"$@\"",
                   run.path("disk"), lathe_program(), "train", run.job(), "--set", "run=" + run.path("disk/run"),
                   "--set", "data.corpus=[{path=\"" + run.shards() + "\"}]"});
  if (result.status == 77 || result.errors.find("unshare") == 0) GTEST_SKIP() << "no disk can be mounted here";
  EXPECT_THAT(complaint(result), AllOf(HasSubstr("checkpoints of"), HasSubstr("free on that disk")));
}

TEST(SlowDiskFaults, LeaveTheLastCheckpointWhenTheDiskFillsUp) {
  TinyRun run;
  fs::create_directory(run.path("disk"));
  const char* script = R"(mount -t tmpfs -o size=64m none "$0" || exit 77
run="$0/run"
"$@" & lathe=$!
until [ -e "$run/latest" ]; do sleep 0.01; done
cat /dev/zero > "$0/filler" 2>/dev/null
wait $lathe; status=$?
ls -A "$run/checkpoints"
rm "$0/filler"
"$1" train --resume "$run" --set training.steps=$(($(readlink "$run/latest" | sed 's/.*step-0*//') + 3)) >/dev/null 2>&1
echo resumed: $?
exit $status)";
  ProgramResult result = run_program({"unshare", "-m", "sh", "-c", script, run.path("disk"), lathe_program(), "train",
                                      run.job(), "--threads", "1", "--set", "run=" + run.path("disk/run"), "--set",
                                      "data.corpus=[{path=\"" + run.shards() + "\"}]", "--set",
                                      "training.steps=1000000", "--set", "save.every=7"});
  if (result.status == 77 || result.errors.find("unshare") == 0) GTEST_SKIP() << "no disk can be mounted here";
  EXPECT_THAT(complaint(result), AllOf(HasSubstr("no space left on device"), HasSubstr("free")));
  EXPECT_THAT(result.output, AllOf(HasSubstr("step-"), Not(HasSubstr(".partial")), HasSubstr("resumed: 0")));
}

TEST(SlowDiskFaults, LeaveTheLastCheckpointWhenAFileMayNotGrow) {
  TinyRun run;
  ASSERT_EQ(run.train().status, 0);
  auto before = state_of(run, 20);
  ProgramResult result = run_program({"sh", "-c", "trap '' XFSZ; ulimit -f 40; exec \"$@\"", "sh", lathe_program(),
                                      "train", "--resume", run.run(), "--threads", "1", "--set", "training.steps=30"});
  EXPECT_THAT(complaint(result), HasSubstr("cannot write"));
  EXPECT_EQ(state_of(run, 20), before);
  EXPECT_FALSE(has_partials(run));
  EXPECT_EQ(run.resume({"--set", "training.steps=30"}).status, 0);
}

TEST(SlowDamage, IsFoundAndThePreviousCheckpointUsedWhenAsked) {
  TinyRun run;
  ASSERT_EQ(run.train().status, 0);
  auto undisturbed = state_of(run, 20);
  std::string damaged = run.checkpoint(20) + "/model.safetensors";
  test::flip_bit(damaged, 5000, 3);
  EXPECT_THAT(complaint(run.resume()), AllOf(HasSubstr(damaged + " is damaged"), HasSubstr("--use-previous")));
  EXPECT_TRUE(fs::exists(damaged));
  ProgramResult again = run.resume({"--use-previous"});
  EXPECT_EQ(again.status, 0) << again.errors;
  EXPECT_THAT(again.errors, HasSubstr(damaged + " is damaged"));
  EXPECT_EQ(state_of(run, 20), undisturbed);
}

TEST(SlowResume, RefusesChangedShapes) {
  TinyRun run;
  ASSERT_EQ(run.train().status, 0);
  for (const char* change : {"model.hidden_size=64", "model.vocab_size=400", "model.num_hidden_layers=3",
                             "training.sequence_length=8", "training.micro_batch=5", "training.seed=9"})
    EXPECT_THAT(complaint(run.resume({"--set", change})), HasSubstr("cannot change when a run is resumed")) << change;
  EXPECT_THAT(complaint(run.resume({"--set", "model.hidden_size=64"})),
              AllOf(HasSubstr("model.hidden_size is 64"), HasSubstr("started with 32")));
}

TEST(SlowResume, RefusesANewerFormatByName) {
  TinyRun run;
  ASSERT_EQ(run.train().status, 0);
  std::string path = run.checkpoint(20) + "/manifest.json", text = test::content_of(path);
  text.replace(text.find("\"format\": 1"), 11, "\"format\": 2");
  std::ofstream(path) << text;
  EXPECT_THAT(complaint(run.resume()), AllOf(HasSubstr(path), HasSubstr("format 2 is newer than 1")));
}

TEST(SlowResume, SaysWhatIsNoRun) {
  TinyRun run;
  EXPECT_THAT(complaint(run.resume()), HasSubstr("is no directory of a run"));
  ASSERT_EQ(run.train().status, 0);
  EXPECT_THAT(complaint(run.train()), AllOf(HasSubstr("reached step 20"), HasSubstr("--resume")));
}

/// A run that goes on until it is stopped.
std::vector<std::string> endless(const TinyRun& run) {
  return {"train",     run.job(),
          "--threads", "1",
          "--set",     "run=" + run.run(),
          "--set",     "data.corpus=[{path=\"" + run.shards() + "\"}]",
          "--set",     "training.steps=100000000",
          "--set",     "save.every=0"};
}

TEST(SlowSignals, StopARunWithEverythingSavedAndKeepOthersOut) {
  TinyRun run;
  Background first(endless(run));
  ASSERT_TRUE(wait_until([&] {
    return fs::exists(run.run() + "/log.jsonl") && fs::file_size(run.run() + "/log.jsonl") > 5000;
  })) << first.output();
  EXPECT_THAT(complaint(run.train()), HasSubstr("is in use by process"));
  EXPECT_THAT(complaint(run.resume()), HasSubstr("is in use by process"));
  first.signal(SIGTERM);
  EXPECT_EQ(first.wait(), 128 + SIGTERM);
  std::string log = test::content_of(run.run() + "/log.jsonl");
  EXPECT_THAT(log.substr(log.rfind("{\"event\"")), Not(HasSubstr("finished")));
  EXPECT_THAT(log, HasSubstr("\"why\":\"interrupted\""));
  EXPECT_TRUE(fs::exists(run.run() + "/latest/model.safetensors"));
  int64_t step = std::stoll(fs::read_symlink(run.run() + "/latest").filename().string().substr(5));
  ProgramResult again = run.resume({"--set", "training.steps=" + std::to_string(step + 2)});
  EXPECT_EQ(again.status, 0) << again.errors;
  EXPECT_TRUE(fs::exists(run.checkpoint(step + 2)));
}

TEST(SlowSignals, QuitAtOnceWhenTheyComeTwice) {
  TinyRun run;
  std::vector<std::string> slow = endless(run);
  for (const char* change :
       {"model.hidden_size=256", "model.num_hidden_layers=4", "training.micro_batch=64", "training.accumulation=40"})
    slow.insert(slow.end(), {"--set", change});
  Background process(slow);
  ASSERT_TRUE(wait_until([&] { return fs::exists(run.run() + "/log.jsonl"); })) << process.output();
  process.signal(SIGINT);
  ASSERT_TRUE(wait_until([&] { return process.output().find("once more quits at once") != std::string::npos; }));
  process.signal(SIGINT);
  EXPECT_TRUE(wait_until([&] { return !process.running(); }, 5)) << "the step was waited for";
  EXPECT_EQ(process.wait(), 128 + SIGINT);
  EXPECT_FALSE(fs::exists(run.run() + "/latest"));
}

TEST(SlowTrouble, StopsAtNanNamingStepAndBatchAndGoesOnWithoutItWhenTold) {
  TinyRun run({"optimizer.learning_rate=1e38", "schedule.warmup_steps=0", "schedule.curve=constant"});
  std::string said = complaint(run.train());
  EXPECT_THAT(said, AllOf(HasSubstr("is not finite"), HasSubstr("batch: "), HasSubstr(run.shards()),
                          HasSubstr("--set training.on_nan=skip")));
  ASSERT_EQ(said.find("lathe: step "), 0u) << said;
  int64_t step = std::stoll(said.substr(12));
  EXPECT_TRUE(fs::exists(run.checkpoint(step - 1))) << said;
  ProgramResult skipped = run.resume({"--set", "training.on_nan=skip"});
  EXPECT_EQ(skipped.status, 0) << skipped.errors;
  EXPECT_THAT(skipped.errors, HasSubstr("its update was left out"));
  EXPECT_THAT(test::content_of(run.run() + "/log.jsonl"), HasSubstr("\"left_out\":\"the loss or a gradient"));
}

TEST(SlowTrouble, StopsAtASpikeAndGoesOnWithoutItWhenTold) {
  std::vector<std::string> spiky = {"training.steps=200", "optimizer.learning_rate=3e-2", "training.loss_spike=1.05",
                                    "training.norm_spike=1.2"};
  TinyRun run(spiky);
  std::string said = complaint(run.train({"--set", "training.on_spike=stop"}));
  EXPECT_THAT(said, AllOf(HasSubstr("far above its average"), HasSubstr("batch: "), HasSubstr("on_spike=skip")));
  ProgramResult skipped = run.resume({"--set", "training.on_spike=skip"});
  EXPECT_EQ(skipped.status, 0) << skipped.errors;
  EXPECT_THAT(skipped.errors, HasSubstr("its update was left out"));
}

}  // namespace
}  // namespace lathe
