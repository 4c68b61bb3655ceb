#include "lathe/quant/fp8.h"

#include "lathe/nn/linear.h"
#include "lathe/ops/matmul_fp8.h"

namespace lathe {

Tensor Fp8Products::multiply(const Tensor& x, const Epilogue& epilogue) const {
  const Tensor& weight = inner_->parameter.value;
  bool fits = x.dtype() == DType::bf16 && weight && fp8_fits(x.shape().rows(), weight.shape());
  return fits ? matmul_fp8(x, weight, epilogue) : inner_->multiply(x, epilogue);
}

Tensor Fp8Products::multiply_groups(const Tensor& x, const Tensor& offsets) const {
  return inner_->multiply_groups(x, offsets);
}

int use_fp8(Block& block) {
  Inventory inventory;
  block.list(inventory);
  int used = 0;
  for (Linear* linear : inventory.linears) {
    auto* dense = dynamic_cast<DenseWeight*>(linear->weight.get());
    if (!dense || !fp8_fits(0, dense->parameter.value.shape())) continue;
    linear->weight.release();
    linear->weight = std::make_unique<Fp8Products>(std::unique_ptr<DenseWeight>(dense));
    ++used;
  }
  return used;
}

}  // namespace lathe
