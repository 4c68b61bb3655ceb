#include "lathe/train/run_directory.h"

#include <algorithm>
#include <filesystem>

#include "lathe/base/durable_file.h"
#include "lathe/base/error.h"
#include "lathe/base/numbers.h"

namespace lathe {
namespace {

namespace fs = std::filesystem;

constexpr const char* kPrefix = "step-";

std::string name_of_step(int64_t step) {
  std::string digits = std::to_string(step);
  return kPrefix + std::string(digits.size() < 8 ? 8 - digits.size() : 0, '0') + digits;
}

/// Files that are training's own business and no part of a model directory.
bool belongs_to_model(const fs::directory_entry& entry) {
  std::string name = entry.path().filename().string();
  return entry.is_regular_file() && name != "job.toml" && name != "manifest.json" &&
         !name.starts_with("training_state");
}

/// Replaces the link `at` in one step.
void replace_link(const std::string& at, const std::string& target) {
  std::error_code none;
  if (fs::is_symlink(at) && fs::read_symlink(at, none) == target) return;
  require(!fs::exists(fs::symlink_status(at)) || fs::is_symlink(at), at, " is in the way: it is no link of this run");
  std::string temporary = temporary_name(at);
  fs::create_symlink(target, temporary);
  fs::rename(temporary, at);
}

}  // namespace

std::vector<int64_t> checkpoint_steps(const std::string& path) {
  std::vector<int64_t> steps;
  std::error_code missing;
  for (const auto& entry : fs::directory_iterator(path + "/checkpoints", missing)) {
    std::string name = entry.path().filename().string();
    if (!name.starts_with(kPrefix)) continue;
    if (auto step = try_parse_int(name.substr(std::string_view(kPrefix).size()))) steps.push_back(*step);
  }
  std::sort(steps.begin(), steps.end());
  return steps;
}

std::string checkpoint_directory(const std::string& path, int64_t step) {
  return path + "/checkpoints/" + name_of_step(step);
}

RunDirectory::RunDirectory(const std::string& path) : path_(path), lock_(path) {
  fs::create_directories(path + "/checkpoints");
  remove_partials(path);
  remove_partials(path + "/checkpoints");
}

std::vector<int64_t> RunDirectory::steps() const { return checkpoint_steps(path_); }

std::string RunDirectory::checkpoint(int64_t step) const { return checkpoint_directory(path_, step); }

void RunDirectory::add_checkpoint(int64_t step, int64_t keep_last,
                                  const std::function<void(const std::string&)>& write) {
  std::string temporary = temporary_name(checkpoint(step));
  try {
    fs::create_directories(temporary);
    write(temporary);
    publish(temporary, step, keep_last);
  } catch (...) {
    std::error_code ignored;
    fs::remove_all(temporary, ignored);
    throw;
  }
}

void RunDirectory::publish(const std::string& temporary, int64_t step, int64_t keep_last) {
  if (fs::exists(checkpoint(step))) remove(step);
  publish_directory(temporary, checkpoint(step));
  point_latest(step);
  std::vector<int64_t> kept = steps();
  if (keep_last == 0) return;
  for (size_t i = 0; i + size_t(keep_last) < kept.size(); ++i) remove(kept[i]);
}

void RunDirectory::drop_after(int64_t step) {
  point_latest(step);
  for (int64_t later : steps())
    if (later > step) remove(later);
}

void RunDirectory::point_latest(int64_t step) const {
  replace_link(file("latest"), "checkpoints/" + name_of_step(step));
  for (const auto& entry : fs::directory_iterator(checkpoint(step))) {
    std::string name = entry.path().filename().string();
    if (belongs_to_model(entry)) replace_link(file(name), "latest/" + name);
  }
}

/// First out of sight, so that a kill leaves no checkpoint with holes.
void RunDirectory::remove(int64_t step) const {
  std::string gone = temporary_name(checkpoint(step));
  fs::rename(checkpoint(step), gone);
  fs::remove_all(gone);
}

}  // namespace lathe
