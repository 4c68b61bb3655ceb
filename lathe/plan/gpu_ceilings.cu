#include "lathe/plan/gpu_ceilings.h"

#include <cublasLt.h>

#include "lathe/base/error.h"
#include "lathe/tensor/elements.cuh"
#include "lathe/tensor/launch.cuh"

namespace lathe {
namespace {

void check_library(cublasStatus_t status, const char* call) {
  require(status == CUBLAS_STATUS_SUCCESS, "cuBLASLt: ", call, ": ", cublasLtGetStatusString(status));
}

/// Started once, and never ended: CUDA may be gone by then.
cublasLtHandle_t library() {
  static const cublasLtHandle_t started = [] {
    cublasLtHandle_t handle = nullptr;
    check_library(cublasLtCreate(&handle), "starting");
    return handle;
  }();
  return started;
}

/// A square product as cuBLASLt describes it, in columns: out' = b a'.
class LibraryProduct {
 public:
  LibraryProduct(int64_t size, cudaDataType_t type, size_t workspace) {
    check_library(cublasLtMatmulDescCreate(&product_, CUBLAS_COMPUTE_32F, CUDA_R_32F), "describing a product");
    cublasOperation_t transposed = CUBLAS_OP_T;
    check_library(cublasLtMatmulDescSetAttribute(product_, CUBLASLT_MATMUL_DESC_TRANSA, &transposed, sizeof transposed),
                  "transposing");
    check_library(cublasLtMatrixLayoutCreate(&layout_, type, uint64_t(size), uint64_t(size), size),
                  "describing a matrix");
    choose(workspace);
  }
  ~LibraryProduct() {
    cublasLtMatrixLayoutDestroy(layout_);
    cublasLtMatmulDescDestroy(product_);
  }
  LibraryProduct(const LibraryProduct&) = delete;

  void run(const Tensor& a, const Tensor& b, Tensor& workspace, Tensor& out) {
    float one = 1, zero = 0;
    check_library(cublasLtMatmul(library(), product_, &one, b.data<std::byte>(), layout_, a.data<std::byte>(), layout_,
                                 &zero, out.data<std::byte>(), layout_, out.data<std::byte>(), layout_, &choice_.algo,
                                 workspace.data<std::byte>(), size_t(workspace.bytes()), stream_of(out)),
                  "multiplying");
  }

 private:
  void choose(size_t workspace) {
    cublasLtMatmulPreference_t preference = nullptr;
    int found = 0;
    check_library(cublasLtMatmulPreferenceCreate(&preference), "preferring");
    check_library(cublasLtMatmulPreferenceSetAttribute(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &workspace,
                                                       sizeof workspace),
                  "preferring");
    cublasStatus_t status = cublasLtMatmulAlgoGetHeuristic(library(), product_, layout_, layout_, layout_, layout_,
                                                           preference, 1, &choice_, &found);
    cublasLtMatmulPreferenceDestroy(preference);
    check_library(status, "choosing how to multiply");
  }

  cublasLtMatmulDesc_t product_ = nullptr;
  cublasLtMatrixLayout_t layout_ = nullptr;
  cublasLtMatmulHeuristicResult_t choice_{};
};

/// Describes the product anew at each call: the host is ahead of the device by more time than that takes.
void library_product(const Tensor& a, const Tensor& b, Tensor& workspace, Tensor& out) {
  cudaDataType_t type = out.dtype() == DType::bf16 ? CUDA_R_16BF : CUDA_R_32F;
  LibraryProduct(out.shape()[0], type, size_t(workspace.bytes())).run(a, b, workspace, out);
}

/// One thread an element; the bits of its number, stirred (the finalizer of MurmurHash3).
template <class T>
__global__ void make_noise(T* out, int64_t count) {
  int64_t i = blockIdx.x * int64_t(blockDim.x) + threadIdx.x;
  if (i >= count) return;
  uint32_t bits = uint32_t(i) * 0x9e3779b9u;
  bits = (bits ^ bits >> 16) * 0x85ebca6bu;
  bits = (bits ^ bits >> 13) * 0xc2b2ae35u;
  out[i] = from_float<T>(float(int32_t(bits ^ bits >> 16)) * 0x1p-31f);
}

void noise(Tensor& out) {
  visit_device(out.dtype(), [&]<class T>(Element<T>) {
    int64_t blocks = (out.elements() + kThreads - 1) / kThreads;
    make_noise<<<unsigned(blocks), kThreads, 0, stream_of(out)>>>(on_device<T>(out), out.elements());
    check_launch("noise");
  });
}

void device_copy(const Tensor& x, Tensor& out) {
  check_cuda(cudaMemcpyAsync(out.data<std::byte>(), x.data<std::byte>(), size_t(x.bytes()), cudaMemcpyDeviceToDevice,
                             stream_of(out)),
             "copy");
}

const bool provided = library_product_kernel.provide(Backend::cuda, library_product) &&
                      noise_kernel.provide(Backend::cuda, noise) &&
                      device_copy_kernel.provide(Backend::cuda, device_copy);

}  // namespace
}  // namespace lathe
