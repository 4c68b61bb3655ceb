#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "lathe/base/bytes.h"
#include "lathe/tensor/device.h"

namespace lathe {

/// Work that was captured once and is launched as a whole (a CUDA graph), with pinned host memory for what it uploads.
class Graph {
 public:
  virtual ~Graph() = default;
};

/// Bytes of a device as they were at one point of its work, on their way to pinned host memory.
class Download {
 public:
  virtual ~Download() = default;
  /// Waits until they are here. Throws Error when work before them failed.
  virtual Bytes wait() = 0;
};

/// A GPU as one Runtime drives it: its memory, and one stream of work in order. A CPU has none. One thread uses it.
class Accelerator {
 public:
  virtual ~Accelerator() = default;

  /// One range for a whole arena. Throws Error, with what is free, where the device has less.
  virtual std::byte* allocate(int64_t bytes) = 0;
  virtual void free(std::byte* memory) noexcept = 0;

  /// In order with the kernels launched so far. `from` may be reused at return.
  virtual void upload(Bytes from, std::byte* to) = 0;
  /// The same; `to` is filled at return. Throws InternalError within a graph.
  virtual void download(const std::byte* from, std::span<std::byte> to) = 0;
  /// The same without waiting, for what is read back again and again: the pinned memory is kept. Must not outlive the
  /// accelerator.
  virtual std::unique_ptr<Download> download_later(const std::byte* from, int64_t bytes) = 0;

  /// Pinned host bytes that uploads so far would take in a graph.
  virtual int64_t staged_bytes() const = 0;
  /// `work`, which uploads at most `staged_bytes`, as a graph. It is not run yet.
  virtual std::unique_ptr<Graph> capture(int64_t staged_bytes, const std::function<void()>& work) = 0;
  /// Runs `graph`, once more with what `work` uploads when it is given: its kernels are not launched one by one. Waits
  /// only for the last launch of this graph. Throws InternalError when `work` calls other kernels than were captured.
  virtual void launch(Graph& graph, const std::function<void()>& work = nullptr) = 0;
  /// Told of each kernel that writes to `written`; false when a graph that is launched again holds it already.
  virtual bool admits(const void* kernel, const void* written) = 0;

  /// Waits for all work so far. Throws Error when some of it failed.
  virtual void synchronize() = 0;
  /// Where kernels are launched: a cudaStream_t.
  virtual void* stream() const = 0;
};

struct AcceleratorInfo {
  std::string name;          ///< "NVIDIA H200"
  std::string architecture;  ///< "sm_90"
  int64_t memory_bytes = 0;
  int64_t free_bytes = 0;  ///< when the program asked first
};

/// What this machine offers.
struct Accelerators {
  std::vector<AcceleratorInfo> gpus;  ///< cuda:0, cuda:1, ... as CUDA_VISIBLE_DEVICES shows them
  std::string why_none;               ///< a plain sentence when there are none
};

/// Looks once, at the first call: for a driver, then for the plugin lathe_cuda.so beside liblathe.so, which holds
/// everything of lathe that is CUDA, then for GPUs it was built for. That there are none is no error.
const Accelerators& accelerators();

/// A line for people: the GPUs, or why there are none.
std::string describe(const Accelerators& accelerators);

/// The accelerator of `device`; null for a CPU and for meta devices. Throws Error, saying why, when there is no such
/// GPU.
std::unique_ptr<Accelerator> open_accelerator(Device device);

/// How a plugin answers; it calls provide_accelerators() at namespace scope, as kernels do.
struct AcceleratorPlugin {
  Accelerators (*find)();
  std::unique_ptr<Accelerator> (*open)(int index);
};
bool provide_accelerators(AcceleratorPlugin plugin);

}  // namespace lathe
