#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "lathe/nn/stored.h"
#include "lathe/ops/normed_product.h"

namespace lathe {

/// The matrix of a Linear or an embedding table, in whatever format it is stored: [out, in], or [groups, out, in] for
/// experts. Declared, then loaded, then prepared; one implementation a format.
class Weight {
 public:
  virtual ~Weight() = default;
  virtual int64_t out() const = 0;
  virtual int64_t in() const = 0;

  /// x [..., in] -> [..., out], differentiable in x, and in the weight where it is trained.
  virtual Tensor multiply(const Tensor& x, const Epilogue& epilogue) const = 0;
  /// multiply(normalized(x, norm)), gated where asked for, to the bit.
  virtual Tensor multiply_normed(const Tensor& x, const InputNorm& norm, const NormedEpilogue& epilogue) const;
  /// Rows [offsets[g], offsets[g + 1]) of x with group g: experts. Throws InternalError without groups.
  virtual Tensor multiply_groups(const Tensor& x, const Tensor& offsets) const;
  /// As an embedding table: ids i32 [tokens] -> [tokens, in].
  virtual Tensor rows(const Tensor& ids) const = 0;
  virtual Tensor dequantize() const = 0;  ///< [out, in], not differentiable

  /// The smallest number of rows (axis 0) or columns (axis 1) that can be split off.
  virtual int64_t granule(int axis) const = 0;
  /// Takes bytes for use alone, in `compute` where the format leaves a choice.
  virtual void materialize(DType compute) = 0;
  /// Nothing will be multiplied by it, its rows alone are used: prepare() need not repack it.
  virtual void use_rows_alone() {}
  /// Repacks for speed, after loading and for use alone: it can be neither split, trained nor saved afterwards.
  virtual void prepare() {}
  virtual void list(Inventory& inventory) = 0;
};

/// Dense, in f32 or bf16; trained unless frozen. Prepared, it is a PackedMatrix in the same bytes.
class DenseWeight : public Weight {
 public:
  DenseWeight(Shape shape, std::vector<Slice> slices, Init init) : parameter(shape, std::move(slices), init) {}
  int64_t out() const override { return parameter.value.shape()[-2]; }
  int64_t in() const override { return parameter.value.shape()[-1]; }
  Tensor multiply(const Tensor& x, const Epilogue& epilogue) const override;
  Tensor multiply_normed(const Tensor& x, const InputNorm& norm, const NormedEpilogue& epilogue) const override;
  Tensor multiply_groups(const Tensor& x, const Tensor& offsets) const override;
  Tensor rows(const Tensor& ids) const override;
  Tensor dequantize() const override;
  int64_t granule(int) const override { return 1; }
  void materialize(DType compute) override;
  void use_rows_alone() override { rows_alone_ = true; }
  void prepare() override;
  void list(Inventory& inventory) override;

  Parameter parameter;  ///< without bytes once prepared

 private:
  bool rows_alone_ = false;
  std::optional<PackedMatrix> packed_;
};

}  // namespace lathe
