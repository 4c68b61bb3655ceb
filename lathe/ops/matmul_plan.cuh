#pragma once
// How cuBLASLt is told of a product, and how its choice for one is written down.

#include <compare>
#include <string>

#include "lathe/base/error.h"
#include "lathe/ops/matmul_library.cuh"

namespace lathe {

/// Throws Error, naming the call, unless the library succeeded.
void check_library(cublasStatus_t status, const char* call);

/// What tells products apart: an algorithm is chosen for each. Adding to `out` is no difference.
struct ProductKey {
  int64_t rows, columns, depth, out_stride;
  cudaDataType_t a, b, out;
  bool a_across, b_across, precise, bias, residual;
  uint32_t a_alignment, b_alignment, c_alignment, out_alignment;
  auto operator<=>(const ProductKey&) const = default;
};

ProductKey key_of(const LibraryProduct& product);
/// For people, and for ProductChoices.
std::string name_of_product(const ProductKey& key);

/// The third matrix that is read: the residual, or what `out` holds.
inline const void* c_of(const LibraryProduct& product) { return product.residual ? product.residual : product.out; }

/// How the library sees a product. Its matrices have their columns contiguous, so it computes outᵀ = b aᵀ: what is
/// first there is our b. Kept for as long as the program runs.
struct Plan {
  cublasLtMatmulDesc_t operation = nullptr;
  cublasLtMatrixLayout_t a = nullptr, b = nullptr, out = nullptr;
  cublasLtMatmulAlgo_t algorithm{};
  bool possible = false;
  bool chosen = false;  ///< by measurement, in this program or before
};

template <class T>
void describe(Plan& plan, cublasLtMatmulDescAttributes_t what, const T& value) {
  check_library(cublasLtMatmulDescSetAttribute(plan.operation, what, &value, sizeof value), "describing a product");
}

/// Without an algorithm yet.
Plan plan_of(const ProductKey& key);

/// The library's words for an algorithm, which it promises to understand again in the same version.
std::string words_of(const cublasLtMatmulAlgo_t& algorithm);
/// False when `words` are none.
bool parse_words(const std::string& words, cublasLtMatmulAlgo_t& algorithm);

}  // namespace lathe
