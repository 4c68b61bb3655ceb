#include "lathe/ops/matmul_library.cuh"

#include <map>
#include <mutex>

#include "lathe/ops/matmul_choices.h"
#include "lathe/ops/matmul_plan.cuh"
#include "lathe/tensor/elements.cuh"

namespace lathe {
namespace {

/// The handle of one device, and the plans made so far.
class Library {
 public:
  /// Of the current device.
  static Library& current() {
    static Library* libraries[64] = {};
    static std::mutex mutex;
    int device = 0;
    check_cuda(cudaGetDevice(&device), "asking for the device");
    std::lock_guard lock(mutex);
    Library*& library = libraries[size_t(device) % std::size(libraries)];
    if (!library) library = new Library(device);  // never deleted: CUDA may be gone before static objects are
    return *library;
  }

  bool multiply(const LibraryProduct& product, cudaStream_t stream);

 private:
  static constexpr int kCandidates = 16;

  explicit Library(int device) {
    cudaDeviceProp properties{};
    check_cuda(cudaGetDeviceProperties(&properties, device), "asking for the device's properties");
    check_library(cublasLtCreate(&handle_), "starting");
    device_ = text(properties.name, ", cuBLASLt ", cublasLtGetVersion());
  }

  cublasLtHandle_t handle_ = nullptr;
  std::string device_;
  std::map<ProductKey, Plan> plans_;
  std::mutex mutex_;

  Plan& find(const ProductKey& key, const LibraryProduct& product);
  bool choose_known(const ProductKey& key, Plan& plan);
  int suggest(const ProductKey& key, const Plan& plan, int most, cublasLtMatmulHeuristicResult_t* found);
  void measure(const ProductKey& key, Plan& plan, const LibraryProduct& product, cudaStream_t stream);
  cublasStatus_t run(const Plan& plan, const cublasLtMatmulAlgo_t& algorithm, const LibraryProduct& product,
                     cudaStream_t stream);
};

template <class T>
void prefer(cublasLtMatmulPreference_t preference, cublasLtMatmulPreferenceAttributes_t what, const T& value) {
  check_library(cublasLtMatmulPreferenceSetAttribute(preference, what, &value, sizeof value), "setting a preference");
}

/// Up to `most` algorithms that fit the workspace; parts of depth are summed in order or not at all.
int Library::suggest(const ProductKey& key, const Plan& plan, int most, cublasLtMatmulHeuristicResult_t* found) {
  cublasLtMatmulPreference_t preference = nullptr;
  check_library(cublasLtMatmulPreferenceCreate(&preference), "setting a preference");
  prefer(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, uint64_t(kGpuProductWorkspace));
  prefer(preference, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, uint32_t(CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE));
  prefer(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, key.b_alignment);
  prefer(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, key.a_alignment);
  prefer(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, key.c_alignment);
  prefer(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, key.out_alignment);
  int count = 0;
  cublasStatus_t status = cublasLtMatmulAlgoGetHeuristic(handle_, plan.operation, plan.b, plan.a, plan.out, plan.out,
                                                         preference, most, found, &count);
  cublasLtMatmulPreferenceDestroy(preference);
  return status == CUBLAS_STATUS_SUCCESS ? count : 0;
}

bool Library::choose_known(const ProductKey& key, Plan& plan) {
  cublasLtMatmulAlgo_t algorithm;
  cublasLtMatmulHeuristicResult_t needs{};
  if (!parse_words(chosen_algorithm(device_, name_of_product(key)), algorithm)) return false;
  if (cublasLtMatmulAlgoCheck(handle_, plan.operation, plan.b, plan.a, plan.out, plan.out, &algorithm, &needs) !=
          CUBLAS_STATUS_SUCCESS ||
      int64_t(needs.workspaceSize) > kGpuProductWorkspace)
    return false;
  plan.algorithm = algorithm;
  return plan.possible = plan.chosen = true;
}

/// Before anything is asked of the library: what it suggests depends on whether there are scales.
void point_to_scales(Plan& plan, const LibraryProduct& product) {
  if (product.a.scale) describe(plan, CUBLASLT_MATMUL_DESC_B_SCALE_POINTER, product.a.scale);
  if (product.b.scale) describe(plan, CUBLASLT_MATMUL_DESC_A_SCALE_POINTER, product.b.scale);
}

Plan& Library::find(const ProductKey& key, const LibraryProduct& product) {
  auto [at, fresh] = plans_.try_emplace(key);
  Plan& plan = at->second;
  if (fresh) plan = plan_of(key);
  point_to_scales(plan, product);
  if (!fresh) return plan;
  if (choose_known(key, plan)) return plan;
  cublasLtMatmulHeuristicResult_t first{};
  plan.possible = suggest(key, plan, 1, &first) > 0 && first.state == CUBLAS_STATUS_SUCCESS;
  plan.algorithm = first.algo;
  if (plan.possible) choose_algorithm(device_, name_of_product(key), words_of(plan.algorithm), 0);
  return plan;
}

cublasStatus_t Library::run(const Plan& plan, const cublasLtMatmulAlgo_t& algorithm, const LibraryProduct& product,
                            cudaStream_t stream) {
  float one = 1, beta = product.add || product.residual ? 1 : 0;
  return cublasLtMatmul(handle_, plan.operation, &one, product.b.data, plan.b, product.a.data, plan.a, &beta,
                        c_of(product), plan.out, product.out, plan.out, &algorithm, product.workspace,
                        size_t(kGpuProductWorkspace), stream);
}

/// Two events of the device, for seconds between them.
class Stopwatch {
 public:
  explicit Stopwatch(cudaStream_t stream) : stream_(stream) {
    for (cudaEvent_t& event : events_) check_cuda(cudaEventCreate(&event), "making an event");
  }
  ~Stopwatch() {
    for (cudaEvent_t event : events_) cudaEventDestroy(event);
  }
  /// Milliseconds of `work`, and negative when it fails.
  template <class Work>
  float time(Work&& work) {
    check_cuda(cudaEventRecord(events_[0], stream_), "recording an event");
    if (!work()) return -1;
    check_cuda(cudaEventRecord(events_[1], stream_), "recording an event");
    check_cuda(cudaEventSynchronize(events_[1]), "waiting for the device");
    float milliseconds = 0;
    check_cuda(cudaEventElapsedTime(&milliseconds, events_[0], events_[1]), "reading an event");
    return milliseconds;
  }

 private:
  cudaStream_t stream_;
  cudaEvent_t events_[2] = {};
};

/// The best of three timings for each suggestion, taken in turn so that a change of clock hits all alike. `out` holds
/// the product of any of them afterwards.
void Library::measure(const ProductKey& key, Plan& plan, const LibraryProduct& product, cudaStream_t stream) {
  cublasLtMatmulHeuristicResult_t found[kCandidates];
  int count = suggest(key, plan, kCandidates, found);
  float best[kCandidates];
  int repeats[kCandidates];
  Stopwatch watch(stream);
  auto milliseconds = [&](int i, int times) {
    return watch.time([&] {
      for (int n = 0; n < times; ++n)
        if (run(plan, found[i].algo, product, stream) != CUBLAS_STATUS_SUCCESS) return false;
      return true;
    });
  };
  for (int i = 0; i < count; ++i) {
    milliseconds(i, 1);  // loads its code
    best[i] = milliseconds(i, 1);
    repeats[i] = int(std::clamp(0.2f / std::max(best[i], 1e-3f), 1.0f, 20.0f));
  }
  for (int round = 0; round < 3; ++round)
    for (int i = 0; i < count; ++i)
      if (best[i] >= 0) best[i] = std::min(best[i], milliseconds(i, repeats[i]) / float(repeats[i]));
  int fastest = -1;
  for (int i = 0; i < count; ++i)
    if (best[i] >= 0 && (fastest < 0 || best[i] < best[fastest])) fastest = i;
  if (fastest < 0) return;
  plan.algorithm = found[fastest].algo;
  plan.chosen = true;
  choose_algorithm(device_, name_of_product(key), words_of(plan.algorithm), 1000 * double(best[fastest]));
}

bool capturing(cudaStream_t stream) {
  cudaStreamCaptureStatus status{};
  check_cuda(cudaStreamIsCapturing(stream, &status), "asking for a capture");
  return status != cudaStreamCaptureStatusNone;
}

template <class T>
__global__ void round_bias(const float* bias, T* rounded, int64_t count) {
  int64_t i = blockIdx.x * int64_t(blockDim.x) + threadIdx.x;
  if (i < count) rounded[i] = from_float<T>(bias[i]);
}

/// The bias as the library wants it: of out's type.
const void* bias_like_out(const LibraryProduct& product, cudaStream_t stream) {
  if (product.out_dtype == DType::f32) return product.bias;
  std::byte* rounded = product.workspace + kGpuProductWorkspace;
  visit_device(product.out_dtype, [&]<class T>(Element<T>) {
    round_bias<<<unsigned((product.b.outer + kThreads - 1) / kThreads), kThreads, 0, stream>>>(
        product.bias, reinterpret_cast<T*>(rounded), product.b.outer);
    check_launch("matmul");
  });
  return rounded;
}

bool Library::multiply(const LibraryProduct& product, cudaStream_t stream) {
  std::lock_guard lock(mutex_);
  ProductKey key = key_of(product);
  Plan& plan = find(key, product);
  if (!plan.possible) return false;
  if (product.bias) describe(plan, CUBLASLT_MATMUL_DESC_BIAS_POINTER, bias_like_out(product, stream));
  if (!plan.chosen && !product.add && MeasureProducts::active() && !capturing(stream))
    measure(key, plan, product, stream);
  cublasStatus_t status = run(plan, plan.algorithm, product, stream);
  if (status == CUBLAS_STATUS_NOT_SUPPORTED) return plan.possible = false;
  check_library(status, "multiplying");
  return true;
}

}  // namespace

cudaDataType_t library_type(DType dtype) {
  if (dtype == DType::f32) return CUDA_R_32F;
  if (dtype == DType::bf16) return CUDA_R_16BF;
  if (dtype == DType::f16) return CUDA_R_16F;
  not_floating(dtype);
}

bool multiply_by_library(const LibraryProduct& product, cudaStream_t stream) {
  return product.depth > 0 && Library::current().multiply(product, stream);
}

}  // namespace lathe
