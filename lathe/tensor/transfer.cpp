#include "lathe/tensor/transfer.h"

#include <cstring>

namespace lathe {
namespace {

void upload_cpu(Bytes from, Tensor& to) { std::memcpy(to.data<std::byte>(), from.data(), from.size()); }

const bool provided = upload_kernel.provide(Isa::plain, upload_cpu);

}  // namespace

void upload(Bytes from, Tensor& to) {
  if (int64_t(from.size()) != to.bytes())
    throw InternalError(text("an upload of ", from.size(), " bytes to a tensor of ", to.bytes()));
  upload_kernel({0, 2 * to.bytes()}, from, to);
}

}  // namespace lathe
