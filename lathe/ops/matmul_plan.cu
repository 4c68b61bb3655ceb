#include "lathe/ops/matmul_plan.cuh"

#include <cstdio>
#include <cstdlib>

namespace lathe {
namespace {

uint32_t alignment_of(const void* data) {
  return uint32_t(std::min<uintptr_t>(reinterpret_cast<uintptr_t>(data) & -reinterpret_cast<uintptr_t>(data), 256));
}

const char* name_of_type(cudaDataType_t type) {
  switch (type) {
    case CUDA_R_32F:
      return "f32";
    case CUDA_R_16BF:
      return "bf16";
    case CUDA_R_16F:
      return "f16";
    case CUDA_R_8F_E4M3:
      return "e4m3";
    case CUDA_R_8F_E5M2:
      return "e5m2";
    default:
      return "other";
  }
}

cublasLtMatrixLayout_t layout_of(cudaDataType_t type, int64_t rows, int64_t columns, int64_t stride) {
  cublasLtMatrixLayout_t layout = nullptr;
  check_library(cublasLtMatrixLayoutCreate(&layout, type, uint64_t(columns), uint64_t(rows), stride),
                "describing a matrix");
  return layout;
}

}  // namespace

void check_library(cublasStatus_t status, const char* call) {
  require(status == CUBLAS_STATUS_SUCCESS, "cuBLASLt: ", call, ": ", cublasLtGetStatusString(status));
}

ProductKey key_of(const LibraryProduct& p) {
  return {p.a.outer,
          p.b.outer,
          p.depth,
          p.out_stride ? p.out_stride : p.b.outer,
          p.a.type,
          p.b.type,
          library_type(p.out_dtype),
          p.a.across,
          p.b.across,
          p.precise,
          p.bias != nullptr,
          p.residual != nullptr,
          alignment_of(p.a.data),
          alignment_of(p.b.data),
          alignment_of(c_of(p)),
          alignment_of(p.out)};
}

std::string name_of_product(const ProductKey& k) {
  return text(k.rows, " x ", k.columns, " x ", k.depth, ' ', name_of_type(k.a), ' ', name_of_type(k.b), " -> ",
              name_of_type(k.out), k.a_across ? ", a across" : "", k.b_across ? ", b across" : "",
              k.out_stride == k.columns ? "" : text(" of ", k.out_stride), k.precise ? "" : ", fast sums",
              k.bias ? ", bias" : "", k.residual ? ", residual" : "", ", aligned ", k.a_alignment, ' ', k.b_alignment,
              ' ', k.c_alignment, ' ', k.out_alignment);
}

Plan plan_of(const ProductKey& key) {
  Plan plan;
  check_library(cublasLtMatmulDescCreate(&plan.operation, CUBLAS_COMPUTE_32F, CUDA_R_32F), "describing a product");
  describe(plan, CUBLASLT_MATMUL_DESC_TRANSA, key.b_across ? CUBLAS_OP_N : CUBLAS_OP_T);
  describe(plan, CUBLASLT_MATMUL_DESC_TRANSB, key.a_across ? CUBLAS_OP_T : CUBLAS_OP_N);
  if (!key.precise) describe(plan, CUBLASLT_MATMUL_DESC_FAST_ACCUM, int8_t(1));
  if (key.bias) describe(plan, CUBLASLT_MATMUL_DESC_EPILOGUE, CUBLASLT_EPILOGUE_BIAS);
  if (key.bias) describe(plan, CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, int32_t(key.out));
  auto side = [&](cudaDataType_t type, int64_t outer, bool across) {
    return across ? layout_of(type, key.depth, outer, outer) : layout_of(type, outer, key.depth, key.depth);
  };
  plan.b = side(key.b, key.columns, key.b_across);
  plan.a = side(key.a, key.rows, key.a_across);
  plan.out = layout_of(key.out, key.rows, key.columns, key.out_stride);
  return plan;
}

std::string words_of(const cublasLtMatmulAlgo_t& algorithm) {
  std::string words;
  for (uint64_t word : algorithm.data) {
    char digits[17];
    snprintf(digits, sizeof digits, "%016llx", static_cast<unsigned long long>(word));
    words += digits;
  }
  return words;
}

bool parse_words(const std::string& words, cublasLtMatmulAlgo_t& algorithm) {
  constexpr size_t kDigits = 16;
  if (words.size() != kDigits * std::size(algorithm.data)) return false;
  for (size_t i = 0; i < std::size(algorithm.data); ++i) {
    char* end = nullptr;
    algorithm.data[i] = std::strtoull(words.substr(i * kDigits, kDigits).c_str(), &end, 16);
    if (*end) return false;
  }
  return true;
}

}  // namespace lathe
