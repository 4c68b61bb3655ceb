#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "lathe/base/file_lock.h"

namespace lathe {

/// Where a run keeps its things, and the only writer of them while it lives:
///
///   RUN/job.toml                   the resolved job
///   RUN/log.jsonl, events.*        what happened
///   RUN/products.txt               which algorithms a GPU's products use (ops/matmul_choices.h)
///   RUN/checkpoints/step-00000100  one directory a checkpoint, whole or absent (see snapshot.h)
///   RUN/latest                     a link to the newest; RUN/config.json, model.safetensors, ... point through it, so
///                                  that RUN itself is a model directory of Hugging Face's form at any time
class RunDirectory {
 public:
  /// Makes the directory when it is missing, locks it and clears away what killed processes left. Throws Error when
  /// another process trains here.
  explicit RunDirectory(const std::string& path);

  const std::string& path() const { return path_; }
  std::string file(const std::string& name) const { return path_ + "/" + name; }

  /// Steps of the checkpoints that are there, rising.
  std::vector<int64_t> steps() const;
  std::string checkpoint(int64_t step) const;

  /// Makes what `write` puts into the directory that it is given checkpoint `step`, durably; then points `latest` there
  /// and removes old ones until `keep_last` are left (0: all stay). When `write` throws, nothing is left of it.
  void add_checkpoint(int64_t step, int64_t keep_last, const std::function<void(const std::string&)>& write);
  /// Removes checkpoints after `step`: a run that goes on from an earlier one writes them again.
  void drop_after(int64_t step);

 private:
  void publish(const std::string& temporary, int64_t step, int64_t keep_last);
  void point_latest(int64_t step) const;
  void remove(int64_t step) const;

  std::string path_;
  DirectoryLock lock_;
};

/// Steps of the checkpoints of the run at `path`, rising; none when it is no run. Takes no lock.
std::vector<int64_t> checkpoint_steps(const std::string& path);
/// Where the run at `path` keeps checkpoint `step`, there or not.
std::string checkpoint_directory(const std::string& path, int64_t step);

}  // namespace lathe
