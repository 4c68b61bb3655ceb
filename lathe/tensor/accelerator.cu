#include "lathe/tensor/accelerator.h"

#include <cstring>

#include "lathe/base/error.h"
#include "lathe/base/numbers.h"
#include "lathe/tensor/launch.cuh"

namespace lathe {

void check_cuda(cudaError_t result, const char* call) {
  require(result == cudaSuccess, "CUDA: ", call, ": ", cudaGetErrorString(result));
}

namespace {

/// A kernel to ask whether this plugin has machine code for a device.
__global__ void probe() {}

/// Few bytes to pinned memory: by a copying engine they take ten times as long, and what follows waits.
__global__ void write_out(const std::byte* from, std::byte* to, int bytes) {
  for (int i = int(threadIdx.x); i < bytes; i += int(blockDim.x)) to[i] = from[i];
}

/// Pinned host memory.
class Pinned {
 public:
  explicit Pinned(int64_t size) : size_(size) {
    if (size > 0) check_cuda(cudaMallocHost(&memory_, size_t(size)), "taking pinned host memory");
  }
  ~Pinned() { cudaFreeHost(memory_); }
  Pinned(const Pinned&) = delete;
  std::byte* data() const { return static_cast<std::byte*>(memory_); }
  int64_t size() const { return size_; }

 private:
  int64_t size_;
  void* memory_ = nullptr;
};

class Event {
 public:
  Event() { check_cuda(cudaEventCreateWithFlags(&event_, cudaEventDisableTiming), "making an event"); }
  ~Event() { cudaEventDestroy(event_); }
  Event(const Event&) = delete;
  void record(cudaStream_t stream) { check_cuda(cudaEventRecord(event_, stream), "marking the stream"); }
  void wait() { check_cuda(cudaEventSynchronize(event_), "waiting for the device"); }

 private:
  cudaEvent_t event_ = nullptr;
};

/// A place for downloads. Taking pinned memory stops the device, so places are used again.
struct Landing {
  explicit Landing(int64_t bytes) : pinned(bytes) {}
  Pinned pinned;
  Event arrived;
};
using Landings = std::vector<std::unique_ptr<Landing>>;
constexpr int64_t kLandingUnit = 4096;

class CudaDownload : public Download {
 public:
  CudaDownload(const std::byte* from, int64_t bytes, cudaStream_t stream, Landings& free) : bytes_(bytes), free_(free) {
    auto fits = [&](const std::unique_ptr<Landing>& landing) { return landing->pinned.size() >= bytes; };
    if (auto at = std::find_if(free.begin(), free.end(), fits); at != free.end()) {
      landing_ = std::move(*at);
      free.erase(at);
    } else {
      landing_ = std::make_unique<Landing>((bytes + kLandingUnit - 1) / kLandingUnit * kLandingUnit);
    }
    if (bytes <= kLandingUnit)
      write_out<<<1, 256, 0, stream>>>(from, landing_->pinned.data(), int(bytes));
    else
      cudaMemcpyAsync(landing_->pinned.data(), from, size_t(bytes), cudaMemcpyDeviceToHost, stream);
    check_cuda(cudaGetLastError(), "download");
    landing_->arrived.record(stream);
  }
  ~CudaDownload() override { free_.push_back(std::move(landing_)); }
  CudaDownload(const CudaDownload&) = delete;
  Bytes wait() override {
    landing_->arrived.wait();
    return {landing_->pinned.data(), size_t(bytes_)};
  }

 private:
  int64_t bytes_;
  Landings& free_;
  std::unique_ptr<Landing> landing_;
};

class CudaGraph : public Graph {
 public:
  explicit CudaGraph(int64_t staged_bytes) : staging(staged_bytes) {}
  ~CudaGraph() override {
    if (executable) cudaGraphExecDestroy(executable);
  }
  CudaGraph(const CudaGraph&) = delete;

  Pinned staging;
  int64_t filled = 0;     ///< of `staging`, in this run of the work
  uint64_t calls = 0;     ///< a hash of the kernels called in this run, and of where they write
  uint64_t captured = 0;  ///< the same of the run that was captured
  bool launched = false;
  Event done;
  cudaGraphExec_t executable = nullptr;
};

int64_t staged_size(size_t bytes) { return (int64_t(bytes) + 255) / 256 * 256; }

class CudaAccelerator : public Accelerator {
 public:
  explicit CudaAccelerator(int index) : index_(index) {
    check_cuda(cudaSetDevice(index), "choosing the device");
    check_cuda(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "making a stream");
  }
  ~CudaAccelerator() override { cudaStreamDestroy(stream_); }
  CudaAccelerator(const CudaAccelerator&) = delete;

  std::byte* allocate(int64_t bytes) override;
  void free(std::byte* memory) noexcept override {
    cudaStreamSynchronize(stream_);
    cudaFree(memory);
  }
  void upload(Bytes from, std::byte* to) override;
  void download(const std::byte* from, std::span<std::byte> to) override;
  std::unique_ptr<Download> download_later(const std::byte* from, int64_t bytes) override {
    if (graph_) throw InternalError("a graph reads a value back");
    return std::make_unique<CudaDownload>(from, bytes, stream_, landings_);
  }
  int64_t staged_bytes() const override { return staged_bytes_; }
  std::unique_ptr<Graph> capture(int64_t staged_bytes, const std::function<void()>& work) override;
  void launch(Graph& graph, const std::function<void()>& work) override;
  bool admits(const void* kernel, const void* written) override;
  void synchronize() override { check_cuda(cudaStreamSynchronize(stream_), "waiting for the device"); }
  void* stream() const override { return stream_; }

 private:
  int index_;
  cudaStream_t stream_ = nullptr;
  int64_t staged_bytes_ = 0;
  Landings landings_;
  CudaGraph* graph_ = nullptr;  ///< whose work runs
  bool capturing_ = false;

  void run_for(CudaGraph& graph, bool capturing, const std::function<void()>& work);
};

std::byte* CudaAccelerator::allocate(int64_t bytes) {
  size_t free = 0, total = 0;
  check_cuda(cudaMemGetInfo(&free, &total), "asking for free memory");
  void* memory = nullptr;
  cudaError_t result = cudaMalloc(&memory, size_t(bytes));
  cudaGetLastError();  // a refusal is told below, and must not show at the next launch
  require(result == cudaSuccess, "cuda:", index_, ": cannot take ", format_bytes(bytes), " of memory; ",
          format_bytes(int64_t(free)), " of ", format_bytes(int64_t(total)), " are free (", cudaGetErrorString(result),
          ")");
  return static_cast<std::byte*>(memory);
}

void CudaAccelerator::upload(Bytes from, std::byte* to) {
  staged_bytes_ += staged_size(from.size());
  const std::byte* source = from.data();
  if (graph_) {
    if (graph_->filled + int64_t(from.size()) > graph_->staging.size())
      throw InternalError("a graph uploads more than in its first run");
    source = graph_->staging.data() + graph_->filled;
    std::memcpy(graph_->staging.data() + graph_->filled, from.data(), from.size());
    graph_->filled += staged_size(from.size());
    if (!admits(nullptr, to)) return;
  }
  check_cuda(cudaMemcpyAsync(to, source, from.size(), cudaMemcpyHostToDevice, stream_), "upload");
}

void CudaAccelerator::download(const std::byte* from, std::span<std::byte> to) {
  if (graph_) throw InternalError("a graph reads a value back");
  check_cuda(cudaMemcpyAsync(to.data(), from, to.size(), cudaMemcpyDeviceToHost, stream_), "download");
  synchronize();
}

bool CudaAccelerator::admits(const void* kernel, const void* written) {
  if (!graph_) return true;
  graph_->calls = (graph_->calls ^ uint64_t(reinterpret_cast<uintptr_t>(kernel))) * 0x9e3779b97f4a7c15u;
  graph_->calls =
      (graph_->calls ^ uint64_t(reinterpret_cast<uintptr_t>(written)) ^ graph_->calls >> 29) * 0xbf58476d1ce4e5b9u;
  return capturing_;
}

void CudaAccelerator::run_for(CudaGraph& graph, bool capturing, const std::function<void()>& work) {
  if (graph_) throw InternalError("a graph within a graph");
  graph.filled = 0, graph.calls = 0;
  graph_ = &graph, capturing_ = capturing;
  try {
    work();
  } catch (...) {
    graph_ = nullptr;
    throw;
  }
  graph_ = nullptr;
}

std::unique_ptr<Graph> CudaAccelerator::capture(int64_t staged_bytes, const std::function<void()>& work) {
  auto graph = std::make_unique<CudaGraph>(staged_bytes);
  cudaGraph_t captured = nullptr;
  check_cuda(cudaStreamBeginCapture(stream_, cudaStreamCaptureModeThreadLocal), "beginning a graph");
  try {
    run_for(*graph, true, work);
  } catch (...) {
    cudaStreamEndCapture(stream_, &captured);
    if (captured) cudaGraphDestroy(captured);
    throw;
  }
  check_cuda(cudaStreamEndCapture(stream_, &captured), "ending a graph");
  cudaError_t result = cudaGraphInstantiate(&graph->executable, captured, 0);
  cudaGraphDestroy(captured);
  check_cuda(result, "preparing a graph");
  graph->captured = graph->calls;
  return graph;
}

void CudaAccelerator::launch(Graph& any, const std::function<void()>& work) {
  CudaGraph& graph = static_cast<CudaGraph&>(any);
  if (work) {
    if (graph.launched) graph.done.wait();  // its uploads have left the staging memory
    run_for(graph, false, work);
    if (graph.calls != graph.captured) throw InternalError("a graph is run with other kernels than were captured");
  }
  check_cuda(cudaGraphLaunch(graph.executable, stream_), "launching a graph");
  graph.done.record(stream_);
  graph.launched = true;
}

std::string version_of(int number) { return text(number / 1000, '.', number % 1000 / 10); }

std::string why_no_device(cudaError_t result) {
  int driver = 0;
  cudaDriverGetVersion(&driver);
  if (result == cudaErrorNoDevice) return "the NVIDIA driver shows no GPU (CUDA_VISIBLE_DEVICES may hide it)";
  if (result == cudaErrorInsufficientDriver)
    return text("the NVIDIA driver is too old: it knows CUDA ", version_of(driver), ", and this lathe was built with ",
                version_of(CUDART_VERSION));
  return text("CUDA does not start: ", cudaGetErrorString(result));
}

AcceleratorInfo info_of(int index) {
  cudaDeviceProp properties{};
  size_t free = 0, total = 0;
  check_cuda(cudaGetDeviceProperties(&properties, index), "asking for the device's properties");
  check_cuda(cudaSetDevice(index), "choosing the device");
  check_cuda(cudaMemGetInfo(&free, &total), "asking for free memory");
  return {properties.name, text("sm_", properties.major, properties.minor), int64_t(total), int64_t(free)};
}

Accelerators find() {
  Accelerators found;
  int count = 0;
  cudaError_t result = cudaGetDeviceCount(&count);
  if (result != cudaSuccess) return {{}, why_no_device(result)};
  for (int index = 0; index < count; ++index) {
    found.gpus.push_back(info_of(index));
    cudaFuncAttributes attributes{};
    if (cudaFuncGetAttributes(&attributes, probe) != cudaSuccess)
      return {{},
              text("the GPU ", found.gpus.back().name, " is ", found.gpus.back().architecture,
                   ", which this lathe was not built for (CMAKE_CUDA_ARCHITECTURES)")};
  }
  return found;
}

const bool provided = provide_accelerators(
    {find, [](int index) -> std::unique_ptr<Accelerator> { return std::make_unique<CudaAccelerator>(index); }});

}  // namespace
}  // namespace lathe
