#include "lathe/tensor/accelerator.h"

#include "lathe/base/error.h"
#include "lathe/base/numbers.h"
#include "lathe/tensor/launch.cuh"
#include "lathe/tensor/transfer.h"

namespace lathe {

void check_cuda(cudaError_t result, const char* call) {
  require(result == cudaSuccess, "CUDA: ", call, ": ", cudaGetErrorString(result));
}

namespace {

/// A kernel to ask whether this plugin has machine code for a device.
__global__ void probe() {}

class CudaAccelerator : public Accelerator {
 public:
  explicit CudaAccelerator(int index) : index_(index) {
    check_cuda(cudaSetDevice(index), "choosing the device");
    check_cuda(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "making a stream");
  }
  ~CudaAccelerator() override { cudaStreamDestroy(stream_); }
  CudaAccelerator(const CudaAccelerator&) = delete;

  std::byte* allocate(int64_t bytes) override {
    size_t free = 0, total = 0;
    check_cuda(cudaMemGetInfo(&free, &total), "asking for free memory");
    void* memory = nullptr;
    cudaError_t result = cudaMalloc(&memory, size_t(bytes));
    require(result == cudaSuccess, "cuda:", index_, ": cannot take ", format_bytes(bytes), " of memory; ",
            format_bytes(int64_t(free)), " of ", format_bytes(int64_t(total)), " are free (",
            cudaGetErrorString(result), ")");
    return static_cast<std::byte*>(memory);
  }
  void free(std::byte* memory) noexcept override {
    cudaStreamSynchronize(stream_);
    cudaFree(memory);
  }
  void upload(Bytes from, std::byte* to) override {
    check_cuda(cudaMemcpyAsync(to, from.data(), from.size(), cudaMemcpyHostToDevice, stream_), "upload");
  }
  void download(const std::byte* from, std::span<std::byte> to) override {
    check_cuda(cudaMemcpyAsync(to.data(), from, to.size(), cudaMemcpyDeviceToHost, stream_), "download");
    synchronize();
  }
  void synchronize() override { check_cuda(cudaStreamSynchronize(stream_), "waiting for the device"); }
  void* stream() const override { return stream_; }

 private:
  int index_;
  cudaStream_t stream_ = nullptr;
};

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

void upload_cuda(Bytes from, Tensor& to) { to.storage().runtime().accelerator->upload(from, to.data<std::byte>()); }

const bool provided =
    provide_accelerators(
        {find, [](int index) -> std::unique_ptr<Accelerator> { return std::make_unique<CudaAccelerator>(index); }}) &&
    upload_kernel.provide(Backend::cuda, upload_cuda);

}  // namespace
}  // namespace lathe
