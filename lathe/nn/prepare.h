#pragma once

#include <functional>

#include "lathe/nn/module.h"
#include "lathe/tensor/dtype.h"

namespace lathe {

/// Gives a declared model its bytes, for use alone: one weight after another takes its bytes in `dtype`, is filled by
/// `fill`, and is prepared in place before the next. `fill` gets what is to be filled; null: nothing does.
void prepare_for_use(Model& model, DType dtype, const std::function<void(const Inventory&)>& fill);

}  // namespace lathe
