#pragma once

#include "lathe/nn/module.h"

namespace lathe {

/// Keeps only the block's input, and runs the block again when backward arrives (Chen et al. 2016). Costs one more
/// forward pass; saves all activations within the block. Same bits as without.
std::unique_ptr<Block> checkpointed(std::unique_ptr<Block> block);

/// Drops what is cheap to compute again (norms, activations) and refills it when backward arrives (Korthikanti et al.
/// 2022). Costs no matrix product. Same bits as without.
std::unique_ptr<Block> recomputed(std::unique_ptr<Block> block);

}  // namespace lathe
