#pragma once

#include <utility>

#include "lathe/tensor/sum.h"

namespace lathe {

/// Takes the gradient that reaches a leaf of one's own: the input of a part that is run and differentiated by itself.
class Catcher : public GradientSink {
 public:
  void receive(const Tensor& gradient) override {
    if (!caught_)
      caught_ = gradient.detached();
    else if (caught_.unique())
      accumulate(gradient, caught_);
    else
      caught_ = sum(caught_, gradient);
  }
  Tensor take() { return std::exchange(caught_, Tensor()); }  ///< empty when nothing arrived

 private:
  Tensor caught_;
};

}  // namespace lathe
