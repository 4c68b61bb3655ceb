#include "lathe/base/settings.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/error_of.h"
#include "tests/support/temporary_directory.h"

namespace lathe {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

enum class Precision { f32, bf16 };

struct CorpusExample {
  std::string path;
  double weight = 1;
  bool operator==(const CorpusExample&) const = default;
};

struct OptimizerExample {
  std::string name = "adamw";
  double learning_rate = 6e-4;
  std::vector<double> betas = {0.9, 0.95};
  float epsilon = 1e-8f;
  std::optional<double> clipping;
  bool operator==(const OptimizerExample&) const = default;
};

struct ModelExample {
  int64_t hidden_size = 128;
  int num_attention_heads = 4;
  bool operator==(const ModelExample&) const = default;
};

struct JobExample {
  std::string name = "run";
  uint64_t seed = 1;
  int64_t steps = 100;
  Precision precision = Precision::f32;
  bool resume = false;
  int64_t shard_bytes = 1 << 20;
  std::vector<std::string> prompts;
  std::vector<int64_t> at_steps = {10, 20};
  ModelExample model;
  OptimizerExample optimizer;
  std::vector<CorpusExample> corpora;
  bool operator==(const JobExample&) const = default;
};

void describe(Section& section, CorpusExample& s) {
  section.field("path", s.path, "file or directory").required();
  section.field("weight", s.weight, "share of the tokens").above(0);
}

void describe(Section& section, OptimizerExample& s) {
  section.field("name", s.name, "which one").one_of({"adamw", "adafactor"});
  section.field("learning_rate", s.learning_rate, "peak learning rate").between(0, 1);
  section.field("betas", s.betas, "decay of the moments").at_least(0).below(1);
  section.field("epsilon", s.epsilon, "added to the root").above(0);
  section.field("clipping", s.clipping, "largest gradient norm").above(0);
}

void describe(Section& section, ModelExample& s) {
  section.field("hidden_size", s.hidden_size, "width").at_least(1);
  section.field("num_attention_heads", s.num_attention_heads, "heads").at_least(1);
  section.check(s.hidden_size % s.num_attention_heads == 0, "hidden_size ", s.hidden_size,
                " is no multiple of num_attention_heads ", s.num_attention_heads);
}

struct DataExample {
  std::vector<CorpusExample>& corpora;
};
void describe(Section& section, DataExample& s) { section.list("corpus", s.corpora, "where text comes from"); }

void describe(Section& section, JobExample& s) {
  section.field("name", s.name, "name of the run").not_empty();
  section.field("seed", s.seed, "of all random numbers");
  section.field("steps", s.steps, "optimizer steps").at_least(1);
  section.choice("precision", s.precision, "of the matmuls", {{"f32", Precision::f32}, {"bf16", Precision::bf16}});
  section.field("resume", s.resume, "go on");
  section.bytes("shard_bytes", s.shard_bytes, "largest shard").at_least(1024);
  section.field("prompts", s.prompts, "for samples");
  section.field("at_steps", s.at_steps, "when to sample").at_least(1);
  section.section("model", s.model, "the network");
  section.section("optimizer", s.optimizer, "how weights are updated");
  DataExample data{s.corpora};
  section.section("data", data, "what it learns from");
}

JobExample read(const std::string& toml, std::vector<std::string> overrides = {}) {
  return read_settings<JobExample>({.name = "job.toml", .text = toml, .overrides = std::move(overrides)});
}

std::string problem_of(const std::string& toml, std::vector<std::string> overrides = {}) {
  return error_of([&] { read(toml, overrides); });
}

constexpr const char* kJob = R"(format = 1
name = "demo"
steps = 1e3
precision = "bf16"
shard_bytes = "64MiB"
prompts = ["Once", "In \"the\" beginning\n"]
[model]
hidden_size = 256
[optimizer]
learning_rate = 3e-4
clipping = 1
[[data.corpus]]
path = "a.txt"
[[data.corpus]]
path = "b.txt"
weight = 2
)";

TEST(Settings, KeepsDefaultsOfWhatIsNotGiven) { EXPECT_EQ(read(""), JobExample{}); }

TEST(Settings, ReadsEveryKindOfField) {
  JobExample job = read(kJob);
  EXPECT_EQ(job.name, "demo");
  EXPECT_EQ(job.steps, 1000);
  EXPECT_EQ(job.precision, Precision::bf16);
  EXPECT_EQ(job.shard_bytes, 64 << 20);
  EXPECT_THAT(job.prompts, testing::ElementsAre("Once", "In \"the\" beginning\n"));
  EXPECT_EQ(job.model.hidden_size, 256);
  EXPECT_EQ(job.optimizer.learning_rate, 3e-4);
  EXPECT_EQ(job.optimizer.clipping, 1.0);
  EXPECT_EQ(job.corpora, (std::vector<CorpusExample>{{"a.txt", 1}, {"b.txt", 2}}));
}

TEST(Settings, RoundTripsThroughItsPrint) {
  for (JobExample job : {JobExample{}, read(kJob), read("name = \"\\u0001\\t\\\\é\"\noptimizer.epsilon = 0.1")})
    EXPECT_EQ(read(print_settings(job)), job) << print_settings(job);
}

TEST(Settings, PrintsEveryFieldWithItsHelp) {
  std::string printed = print_settings(read(kJob));
  EXPECT_THAT(printed, testing::StartsWith("format = 1\n"));
  EXPECT_THAT(printed, HasSubstr("[optimizer]  # how weights are updated\n"));
  EXPECT_THAT(printed, testing::ContainsRegex("learning_rate = 0.0003 +# peak learning rate\n"));
  EXPECT_THAT(printed, HasSubstr("[[data.corpus]]"));
  EXPECT_THAT(print_settings(JobExample{}), AllOf(HasSubstr("# clipping is not set"), HasSubstr("corpus = []")));
}

TEST(Settings, ListsFieldsForPeople) {
  std::string listed = list_settings<JobExample>();
  EXPECT_THAT(listed, HasSubstr("peak learning rate (number, between 0.0 and 1.0, default 0.0006)"));
  EXPECT_THAT(listed, HasSubstr("of the matmuls (text, one of \"f32\", \"bf16\", default \"f32\")"));
  EXPECT_THAT(listed,
              HasSubstr("[[data.corpus]]  where text comes from\n  path    file or directory (text, required)"));
}

TEST(Settings, NamesAnUnknownFieldWithItsLineAndTheNearestName) {
  EXPECT_EQ(problem_of("[optimizer]\nlearning_rat = 1"),
            "job.toml:2: unknown field 'learning_rat' in [optimizer]; did you mean 'learning_rate'?");
  EXPECT_THAT(problem_of("[optimiser]\nname = 'adamw'"),
              HasSubstr("unknown section 'optimiser'; did you mean 'optimizer'?"));
  EXPECT_THAT(problem_of("[[data.corpus]]\npath = 'a'\nwieght = 1"), HasSubstr("job.toml:3: unknown field 'wieght'"));
}

TEST(Settings, DoesNotCallAMisspeltFieldMissingToo) {
  EXPECT_THAT(problem_of("[[data.corpus]]\npaht = 'a'"), Not(HasSubstr("missing")));
}

TEST(Settings, NamesAMissingField) {
  EXPECT_EQ(problem_of("[[data.corpus]]\nweight = 1"), "data.corpus.path is missing: file or directory");
}

TEST(Settings, NamesAWrongType) {
  EXPECT_EQ(problem_of("steps = 'many'"), "job.toml:1: steps must be a whole number, here it is a text");
  EXPECT_THAT(problem_of("steps = 1.5"), HasSubstr("must be a whole number, here it is a number"));
  EXPECT_THAT(problem_of("resume = 1"), HasSubstr("must be true or false"));
  EXPECT_THAT(problem_of("name = 3"), HasSubstr("must be a text in quotes"));
  EXPECT_THAT(problem_of("name = 1979-05-27"), HasSubstr("here it is a date or time"));
  EXPECT_THAT(problem_of("prompts = ['a', 1]"), HasSubstr("must be a list of texts"));
  EXPECT_THAT(problem_of("optimizer = 3"), HasSubstr("it must be a section, [optimizer]"));
  EXPECT_THAT(problem_of("data.corpus = 3"), HasSubstr("must be a list of sections, [[data.corpus]]"));
  EXPECT_THAT(problem_of("shard_bytes = 'big'"), HasSubstr("'big' is not a number of bytes"));
  EXPECT_THAT(problem_of("optimizer.learning_rate = nan"),
              HasSubstr("must be a number, here it is not a finite number"));
}

TEST(Settings, NamesTheBoundThatIsBroken) {
  EXPECT_EQ(problem_of("optimizer.learning_rate = 2"),
            "job.toml:1: optimizer.learning_rate = 2.0 must be between 0.0 and 1.0");
  EXPECT_THAT(problem_of("steps = 0"), HasSubstr("steps = 0 must be at least 1"));
  EXPECT_THAT(problem_of("seed = -1"), HasSubstr("seed = -1 must not be negative"));
  EXPECT_THAT(problem_of("precision = 'f64'"), HasSubstr("precision = \"f64\" must be one of \"f32\", \"bf16\""));
  EXPECT_THAT(problem_of("at_steps = [5, 0]"), HasSubstr("at_steps = [5, 0] must be at least 1"));
  EXPECT_THAT(problem_of("name = ''"), HasSubstr("must be not empty"));
  EXPECT_THAT(problem_of("model.num_attention_heads = 3000000000"), HasSubstr("must be at most 2147483647"));
}

TEST(Settings, NamesAContradiction) {
  EXPECT_EQ(problem_of("\n[model]\nhidden_size = 130"),
            "job.toml:2: [model]: hidden_size 130 is no multiple of num_attention_heads 4");
}

TEST(Settings, ReportsAllProblemsAtOnce) {
  EXPECT_THAT(problem_of("steps = 0\nsede = 2"),
              AllOf(HasSubstr("2 problems in the job:\n  job.toml:1: steps"), HasSubstr("\n  job.toml:2: unknown")));
}

TEST(Settings, TakesOverrides) {
  JobExample job = read(kJob, {"optimizer.learning_rate=1e-3", "name=124", "precision=f32", "steps=7",
                               "data.corpus.1.weight=3", "prompts=['a']", "optimizer.name=adafactor"});
  EXPECT_EQ(job.optimizer.learning_rate, 1e-3);
  EXPECT_EQ(job.name, "124");
  EXPECT_EQ(job.precision, Precision::f32);
  EXPECT_EQ(job.steps, 7);
  EXPECT_EQ(job.corpora[1].weight, 3);
  EXPECT_THAT(job.prompts, testing::ElementsAre("a"));
  EXPECT_EQ(job.optimizer.name, "adafactor");
}

TEST(Settings, OverridesMayMakeSections) {
  EXPECT_EQ(read("", {"data.corpus=[{path='x'}]"}).corpora, (std::vector<CorpusExample>{{"x", 1}}));
  EXPECT_EQ(read("", {"model.hidden_size=64"}).model.hidden_size, 64);
}

TEST(Settings, NamesAWrongOverride) {
  EXPECT_THAT(problem_of("", {"optimzer.name=adamw"}),
              AllOf(HasSubstr("--set optimzer.name=adamw: unknown section"), HasSubstr("'optimizer'?")));
  EXPECT_THAT(problem_of("", {"steps=0"}), HasSubstr("--set steps=0: steps = 0 must be at least 1"));
  EXPECT_THAT(problem_of("", {"steps"}), HasSubstr("give it as section.field=value"));
  EXPECT_THAT(problem_of("", {"a..b=1"}), HasSubstr("give it as section.field=value"));
  EXPECT_THAT(problem_of("steps = 1", {"steps.a=1"}), HasSubstr("'a' lies under a whole number, not a section"));
  EXPECT_THAT(problem_of(kJob, {"data.corpus.2.weight=1"}), HasSubstr("'2' is not an entry of that list, which has 2"));
  EXPECT_THAT(problem_of("", {"steps=\nname = 'x'"}), HasSubstr("steps must be a whole number"));
}

TEST(Settings, RefusesANewerFormatByName) {
  EXPECT_EQ(problem_of("format = 2\nnew_field = 3"),
            "job.toml:1: this job has format 2, newer than what this lathe reads (1); use a newer lathe");
  EXPECT_THAT(problem_of("format = 0"), HasSubstr("format must be a whole number from 1"));
}

TEST(Settings, NamesTheLineOfBrokenToml) {
  EXPECT_THAT(problem_of("name = 'a'\nsteps = = 3"), HasSubstr("job.toml:2: "));
  EXPECT_THAT(problem_of("name = 'a'\nname = 'b'"), HasSubstr("job.toml:2: "));
  EXPECT_THAT(problem_of("name = '\xff'"), HasSubstr("not UTF-8 at byte 8"));
}

TEST(Settings, RefusesTomlBombs) {
  std::string deep, wide;
  for (int i = 0; i < 100000; ++i) deep += "a.";
  EXPECT_THAT(problem_of(deep + "a = 1"), HasSubstr("a name of more than 32 parts"));
  EXPECT_NE(problem_of("prompts = " + std::string(100000, '[')), "");
  for (int i = 0; i < 250; ++i) wide += "{a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a = ";
  EXPECT_THAT(problem_of("a = " + wide + "1" + std::string(250, '}')), HasSubstr("more than 32 deep in each other"));
  EXPECT_THAT(problem_of(std::string(300 << 10, '\n')), HasSubstr("too long for a job"));
}

TEST(Settings, ReadsAFile) {
  TemporaryDirectory directory;
  std::string path = directory.file("job.toml", "steps = 5");
  EXPECT_EQ(read_settings<JobExample>(settings_file(path)).steps, 5);
  EXPECT_THAT(error_of([] { settings_file("/no/job.toml"); }), HasSubstr("cannot read /no/job.toml"));
}

}  // namespace
}  // namespace lathe
