#include "lathe/base/settings.h"

#include <cstddef>
#include <cstdint>

// Any text is either a job or an Error, and a job that was read prints as a job with equal fields.
namespace lathe {
namespace {

struct Corpus {
  std::string path;
  double weight = 1;
};

struct Job {
  std::string name = "run";
  uint64_t seed = 1;
  int steps = 100;
  bool resume = false;
  float rate = 0.1f;
  int64_t bytes = 1 << 20;
  std::optional<double> clipping;
  std::vector<std::string> prompts;
  std::vector<int64_t> at_steps;
  std::vector<Corpus> corpora;
};

void describe(Section& section, Corpus& s) {
  section.field("path", s.path, "file").required();
  section.field("weight", s.weight, "share").above(0);
}

void describe(Section& section, Job& s) {
  section.field("name", s.name, "name").not_empty();
  section.field("seed", s.seed, "seed");
  section.field("steps", s.steps, "steps").at_least(1);
  section.field("resume", s.resume, "go on");
  section.field("rate", s.rate, "rate").between(0, 1);
  section.bytes("bytes", s.bytes, "size").at_least(0);
  section.field("clipping", s.clipping, "norm");
  section.field("prompts", s.prompts, "samples");
  section.field("at_steps", s.at_steps, "when");
  section.list("corpus", s.corpora, "text");
}

void round_trip(const std::string& toml) {
  Job job;
  try {
    job = read_settings<Job>({.name = "job.toml", .text = toml});
  } catch (const Error&) {
    return;
  }
  std::string printed = print_settings(job);
  if (print_settings(read_settings<Job>({.name = "printed", .text = printed})) != printed) __builtin_trap();
}

void override_with(const std::string& assignment) {
  try {
    read_settings<Job>({.name = "job.toml", .text = "steps = 3", .overrides = {assignment}});
  } catch (const Error&) {
  }
}

}  // namespace
}  // namespace lathe

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string toml(reinterpret_cast<const char*>(data), size);
  lathe::round_trip(toml);
  lathe::override_with(toml);
  return 0;
}
