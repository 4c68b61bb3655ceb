#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "lathe/base/bytes.h"

namespace lathe {

/// A tensor as a pickle of PyTorch describes it: elements of a storage, which is a file of its own.
struct PickledTensor {
  std::string name;
  std::string_view storage_type;  ///< "FloatStorage"
  std::string_view storage;       ///< the file's name
  int64_t storage_elements = 0;
  int64_t first = 0;  ///< element
  std::vector<int64_t> shape, strides;
};

/// The named tensors in a pickle that torch.save() wrote of a model's state: a dictionary of them, or one that holds
/// such a dictionary. Nothing is ever executed: what is neither plain data nor a tensor is an Error naming it. Views of
/// `pickle`, which must outlive them. Throws Error, beginning with `path`, for anything else too.
/// (Format: Python's pickletools, protocols 2 to 5.)
std::vector<PickledTensor> read_pickled_tensors(Bytes pickle, const std::string& path);

}  // namespace lathe
