#include "lathe/plan/gpu_gauge.h"

#include "lathe/tensor/launch.cuh"

namespace lathe {
namespace {

__global__ void nothing() {}

/// One thread that waits: the nanosecond clock is the same on all multiprocessors.
__global__ void wait(long long nanoseconds) {
  long long start, now;
  asm volatile("mov.u64 %0, %globaltimer;" : "=l"(start));
  do {
    __nanosleep(1000);
    asm volatile("mov.u64 %0, %globaltimer;" : "=l"(now));
  } while (now - start < nanoseconds);
}

class CudaGauge : public GpuGauge {
 public:
  explicit CudaGauge(Accelerator& accelerator) : stream_(static_cast<cudaStream_t>(accelerator.stream())) {}
  ~CudaGauge() override {
    for (cudaEvent_t event : events_) cudaEventDestroy(event);
  }
  CudaGauge(const CudaGauge&) = delete;

  void hold(double seconds) override {
    wait<<<1, 1, 0, stream_>>>((long long)(seconds * 1e9));
    check_launch("hold");
  }

  void mark() override {
    if (used_ == events_.size()) check_cuda(cudaEventCreate(&events_.emplace_back()), "making an event");
    check_cuda(cudaEventRecord(events_[used_++], stream_), "recording an event");
  }

  std::vector<double> laps() override {
    check_cuda(cudaStreamSynchronize(stream_), "waiting for the device");
    std::vector<double> seconds;
    for (size_t i = 1; i < used_; ++i) {
      float milliseconds = 0;
      check_cuda(cudaEventElapsedTime(&milliseconds, events_[i - 1], events_[i]), "reading an event");
      seconds.push_back(double(milliseconds) * 1e-3);
    }
    used_ = 0;
    return seconds;
  }

  double launch_in_graph() override {
    constexpr int kKernels = 2000;
    cudaGraph_t graph = nullptr;
    cudaGraphExec_t ready = nullptr;
    check_cuda(cudaStreamBeginCapture(stream_, cudaStreamCaptureModeThreadLocal), "beginning a graph");
    for (int i = 0; i < kKernels; ++i) nothing<<<1, 32, 0, stream_>>>();
    check_cuda(cudaStreamEndCapture(stream_, &graph), "ending a graph");
    check_cuda(cudaGraphInstantiate(&ready, graph, 0), "making a graph ready");
    for (int run = 0; run < 3; ++run) {
      mark();
      check_cuda(cudaGraphLaunch(ready, stream_), "launching a graph");
    }
    mark();
    double best = 1;
    for (double seconds : laps()) best = std::min(best, seconds / kKernels);
    cudaGraphExecDestroy(ready);
    cudaGraphDestroy(graph);
    return best;
  }

  int64_t free_bytes() override {
    size_t free = 0, total = 0;
    check_cuda(cudaMemGetInfo(&free, &total), "asking for free memory");
    return int64_t(free);
  }

 private:
  cudaStream_t stream_;
  std::vector<cudaEvent_t> events_;
  size_t used_ = 0;
};

const bool provided = provide_gpu_gauge(
    [](Accelerator& accelerator) -> std::unique_ptr<GpuGauge> { return std::make_unique<CudaGauge>(accelerator); });

}  // namespace
}  // namespace lathe
