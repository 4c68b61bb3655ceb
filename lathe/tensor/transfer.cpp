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
  Runtime& runtime = to.storage().runtime();
  Work work{0, 2 * to.bytes()};
  if (!runtime.accelerator) return upload_kernel(work, from, to);
  runtime.count(work);
  runtime.accelerator->upload(from, to.data<std::byte>());
}

void download(const Tensor& from, std::span<std::byte> to) {
  if (int64_t(to.size()) > from.bytes() || from.is_meta())
    throw InternalError(
        text("a download of ", to.size(), " bytes from a tensor of ", from.bytes(), " on ", from.device().name()));
  if (Accelerator* accelerator = from.storage().runtime().accelerator.get())
    accelerator->download(from.data<std::byte>(), to);
  else
    std::memcpy(to.data(), from.data<std::byte>(), to.size());
}

}  // namespace lathe
