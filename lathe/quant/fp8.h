#pragma once

#include <memory>

#include "lathe/nn/module.h"
#include "lathe/nn/weight.h"

namespace lathe {

/// A weight whose products with rows go through FP8 (ops/matmul_fp8.h), forward and backward, where all extents are
/// multiples of 16; other products, rows() and everything that is stored are the inner weight's. For training: once
/// prepared it is the inner weight alone.
class Fp8Products : public Weight {
 public:
  explicit Fp8Products(std::unique_ptr<DenseWeight> inner) : inner_(std::move(inner)) {}
  int64_t out() const override { return inner_->out(); }
  int64_t in() const override { return inner_->in(); }
  Tensor multiply(const Tensor& x, const Epilogue& epilogue) const override;
  Tensor multiply_groups(const Tensor& x, const Tensor& offsets) const override;
  Tensor rows(const Tensor& ids) const override { return inner_->rows(ids); }
  Tensor dequantize() const override { return inner_->dequantize(); }
  int64_t granule(int axis) const override { return inner_->granule(axis); }
  void materialize(DType compute) override { inner_->materialize(compute); }
  void list(Inventory& inventory) override { inner_->list(inventory); }

 private:
  std::unique_ptr<DenseWeight> inner_;
};

/// Gives every Linear of `block` whose weight is dense and fits FP8 such products; returns how many. Call it for the
/// layers of a declared model, before wrappers: embedding and head are better left as they are.
int use_fp8(Block& block);

}  // namespace lathe
