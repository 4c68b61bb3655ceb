#pragma once

#include <vector>

#include "lathe/nn/module.h"
#include "lathe/optim/adamw_kernel.h"

namespace lathe {

struct AdamWSettings {
  double learning_rate = 6e-4;  ///< peak
  double beta1 = 0.9, beta2 = 0.95, epsilon = 1e-8;
  double weight_decay = 0.1;     ///< of matrices; vectors (norms, biases) never decay
  bool decay_embeddings = true;  ///< whether tables of tokens and positions decay too
};

/// AdamW over the trained parameters of a model (Loshchilov & Hutter 2019), in f32 whatever the compute type. Owns the
/// moments, which begin at zero; the parameters must outlive it.
class AdamW {
 public:
  /// Takes bytes for the moments on the current Runtime; `inventory`'s parameters have theirs already.
  AdamW(const AdamWSettings& settings, const Inventory& inventory);

  /// Updates `kept` and `value` of all parameters from their gradients, as `state` has decided.
  void update(const UpdateState& state);

  /// One parameter and what is remembered of it.
  struct Entry {
    Parameter* parameter;
    AdamWRule rule;
    Tensor first, second;
  };
  const std::vector<Entry>& entries() const { return entries_; }
  std::vector<Entry>& entries() { return entries_; }

 private:
  std::vector<Entry> entries_;
};

}  // namespace lathe
