#include "lathe/tensor/host_bytes.h"

#include "lathe/tensor/transfer.h"

namespace lathe {

HostBytes::HostBytes(const Tensor& tensor, Use use) : tensor_(tensor.detached()) {
  if (!tensor.storage().runtime().accelerator) return;
  copy_.resize(size_t(tensor.bytes()));
  if (use == Use::read) download(tensor, copy_);
}

void HostBytes::store() {
  if (!copy_.empty()) upload(Bytes(copy_), tensor_);
}

}  // namespace lathe
