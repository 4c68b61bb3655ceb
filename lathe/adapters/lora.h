#pragma once

#include <string>

#include "lathe/nn/linear.h"

namespace lathe {

/// y += scale * (x downᵀ) upᵀ beside the weight of a linear layer (Hu et al. 2021): down [rank, in], up [out, rank], in
/// files `name`.lora_A.weight and `name`.lora_B.weight, as PEFT calls them. Begins as no change at all.
class Lora : public Adapter {
 public:
  struct Options {
    std::string name;  ///< of the section of the layer that it is beside
    int64_t rank = 0;
    float scale = 1;
  };
  /// Over tensor-parallel ranks it is divided as the layer is. Throws InternalError when no section has that name.
  Lora(const Linear& linear, const Options& options);

  Tensor apply(const Tensor& x, Tensor y, int64_t first, Pass& pass) const override;
  void list(Inventory& inventory) override;

 private:
  DenseWeight down_, up_;
  float scale_;
};

/// Declares one beside that section of `linear`.
void add_lora(Linear& linear, const Lora::Options& options);

}  // namespace lathe
