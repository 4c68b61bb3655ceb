#pragma once

#include <string>

#include "lathe/nn/linear.h"

namespace lathe {

/// Normalizes each row, with weights of its own.
class Norm : public Module {
 public:
  virtual Tensor operator()(const Tensor& x) const = 0;
  /// The same as the input of a Linear, which takes the norm itself where it can.
  virtual LinearInput before(const Tensor& x) const { return (*this)(x); }
};

/// Root mean square norm (Zhang and Sennrich 2019) by `name`.weight [width] + `weight_offset`. With an offset of 1, as
/// in Gemma, a new weight is 0.
class RmsNorm : public Norm {
 public:
  RmsNorm(const std::string& name, int64_t width, double eps, float weight_offset = 0);
  Tensor operator()(const Tensor& x) const override { return before(x).rows(); }
  LinearInput before(const Tensor& x) const override { return {x, {weight_.value, eps_, weight_offset_}}; }
  void list(Inventory& inventory) override { inventory.add(weight_); }

 private:
  Parameter weight_;
  float eps_, weight_offset_;
};

/// Layer norm (Ba et al. 2016) by `name`.weight and `name`.bias [width].
class LayerNorm : public Norm {
 public:
  LayerNorm(const std::string& name, int64_t width, double eps);
  Tensor operator()(const Tensor& x) const override;
  void list(Inventory& inventory) override;

 private:
  Parameter weight_, bias_;
  float eps_;
};

}  // namespace lathe
