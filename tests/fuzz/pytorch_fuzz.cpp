// Any bytes as a file of PyTorch, and as the pickle in one: an Error, or tensors inside the file.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "lathe/base/error.h"
#include "lathe/files/pickle.h"
#include "lathe/files/pytorch_file.h"

namespace {

using namespace lathe;

void read_file(Bytes bytes) {
  for (const PyTorchTensor& tensor : parse_pytorch(bytes, "m.bin")) {
    int64_t elements = 1;
    for (int64_t extent : tensor.shape) elements *= extent;
    if (int64_t(tensor.bytes.size()) != elements * tensor.type->bytes) std::abort();
    if (!tensor.bytes.empty() && (tensor.bytes.data() < bytes.data() || &tensor.bytes.back() > &bytes.back()))
      std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  Bytes all(reinterpret_cast<const std::byte*>(bytes), size);
  try {
    if (size > 0 && bytes[0] == 'P')
      read_file(all);
    else
      read_pickled_tensors(all, "m.bin");
  } catch (const Error&) {
  }
  return 0;
}
