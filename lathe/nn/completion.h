#pragma once

#include "lathe/nn/module.h"

namespace lathe {

/// Wraps every block of `model` so that its parameters learn when its backward is done (Parameter::complete), and
/// counts the users of each. Gradients are then summed over ranks, and sharded, while backward goes on with earlier
/// blocks. Apply it last: wrappers, adapters and freezing come before.
void complete_gradients(Model& model);

}  // namespace lathe
