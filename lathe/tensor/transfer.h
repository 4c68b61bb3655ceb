#pragma once

#include <cstring>
#include <memory>
#include <optional>
#include <span>

#include "lathe/base/bytes.h"
#include "lathe/tensor/kernel.h"

namespace lathe {

/// to = from; bytes of the host. Not for accelerators, whose graphs upload anew with each launch.
constinit inline Kernel<void(Bytes from, Tensor& to)> upload_kernel{"upload"};

/// Fills `to` from the host. Throws InternalError unless `from` has exactly its bytes.
void upload(Bytes from, Tensor& to);
template <class T>
void upload(std::span<const T> from, Tensor& to) {
  upload(std::as_bytes(from), to);
}

/// Fills `to` with the first bytes of `from`, when all kernels before have written them. Not for meta devices.
/// Throws InternalError when `from` has fewer.
void download(const Tensor& from, std::span<std::byte> to);

/// The first bytes of `from` as a T; nothing on a meta device, so that no decision can rest on what it does not know.
template <class T>
std::optional<T> read_value(const Tensor& from) {
  if (from.is_meta()) return std::nullopt;
  T value;
  download(from, std::as_writable_bytes(std::span(&value, 1)));
  return value;
}

/// The first bytes of a tensor as a T, as they are when all kernels so far have run; read without stopping what comes
/// after them. Must not outlive its Runtime.
template <class T>
class LateValue {
 public:
  LateValue() = default;
  explicit LateValue(const Tensor& from) {
    Accelerator* accelerator = from.storage().runtime().accelerator.get();
    if (accelerator)
      download_ = accelerator->download_later(from.data<std::byte>(), int64_t(sizeof(T)));
    else
      value_ = read_value<T>(from);
  }
  /// Waits for it; nothing on a meta device.
  std::optional<T> get() {
    if (download_) {
      std::memcpy(&value_.emplace(), download_->wait().data(), sizeof(T));
      download_.reset();
    }
    return value_;
  }

 private:
  std::unique_ptr<Download> download_;
  std::optional<T> value_;
};

}  // namespace lathe
