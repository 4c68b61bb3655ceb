#pragma once

#include <array>
#include <functional>
#include <map>
#include <memory>

#include "lathe/tensor/accelerator.h"

namespace lathe {

/// Runs stretches of work that are the same each time but for what they upload. On a GPU the first run of a stretch is
/// eager, so that what is chosen by measuring is chosen; the next ones are captured as graphs; from then on the work
/// runs on the host alone, to upload, and one launch does the rest. Elsewhere the work just runs. Must not outlive its
/// Runtime; one thread.
class Graphs {
 public:
  /// `in_flight`: launches that may wait in the device's queue at a time, each with pinned memory of its own.
  explicit Graphs(int in_flight) : in_flight_(in_flight) {}

  /// `key` stands for everything that `work` depends on besides the bytes it uploads: the same key must mean the same
  /// kernels with the same arguments and addresses. `work` must neither read values back nor measure time.
  void run(int64_t key, const std::function<void()>& work);
  /// The same for work that uploads nothing: once captured, it is launched without running on the host at all. What it
  /// makes must lie in tensors that were there before.
  void run_unattended(int64_t key, const std::function<void()>& work);
  /// Whether the next run of this stretch is nothing but a launch.
  bool captured(int64_t key) const;

 private:
  struct Stretch {
    int64_t runs = 0;
    int64_t staged_bytes = 0;
    std::array<std::unique_ptr<Graph>, 2> graphs;
  };
  void run(int64_t key, const std::function<void()>& work, bool attended);
  int in_flight_;
  std::map<int64_t, Stretch> stretches_;
};

}  // namespace lathe
