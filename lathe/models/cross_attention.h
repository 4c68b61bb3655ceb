#pragma once

#include <string>

#include "lathe/models/config.h"
#include "lathe/models/parts.h"

namespace lathe {

/// What a family calls the projections of attention.
struct AttentionNames {
  std::string q, k, v, o;
};

/// Attention of a decoder to its encoder's memory, whose keys and values a pass may keep.
class CrossAttention : public Part {
 public:
  /// `spec` has this rank's heads; `bias`: of all projections. New weights are normal with deviations `in` and `out`.
  CrossAttention(const ModelConfig& config, int layer, const AttentionNames& names, const AttentionSpec& spec,
                 bool bias, Init in, Init out, Mesh& mesh);
  Tensor operator()(LinearInput x, Pass& pass, const Tensor* residual) const override;
  void list(Inventory& inventory) override;

 private:
  int layer_;
  AttentionSpec spec_;
  Linear q_, kv_, o_;
};

}  // namespace lathe
