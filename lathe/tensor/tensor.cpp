#include "lathe/tensor/tensor.h"

#include "lathe/base/error.h"

namespace lathe {

namespace {

constexpr int64_t kMostElements = int64_t{1} << 42;  // sums of all of a model's tensors fit 64 bits

void require_representable(const Shape& shape) {
  int64_t elements = 1;
  for (int axis = 0; axis < shape.rank(); ++axis)
    require(!__builtin_mul_overflow(elements, shape[axis], &elements) && elements <= kMostElements, "a tensor ", shape,
            " would have more than ", kMostElements, " elements");
}

}  // namespace

Storage::Storage(int64_t bytes) : runtime_(Runtime::current()), bytes_(bytes) {}
Storage::~Storage() { drop(); }

void Storage::restore() {
  if (present_) return;
  range_ = runtime_.arena.allocate(bytes_);
  present_ = true;
}

void Storage::drop() {
  if (present_) runtime_.arena.release(range_);
  present_ = false;
}

std::byte* Storage::data() const {
  if (!present_) throw InternalError("a tensor is used while its bytes are dropped");
  std::byte* base = runtime_.arena.base();
  return base ? base + range_.offset : nullptr;
}

std::optional<GradientSlot> GradientSink::slot() { return std::nullopt; }

Tensor Tensor::declare(Shape shape, DType dtype) {
  require_representable(shape);
  return view(std::make_shared<Storage>(shape.elements() * size_of(dtype)), 0, shape, dtype);
}

Tensor Tensor::empty(Shape shape, DType dtype) {
  Tensor tensor = declare(shape, dtype);
  tensor.storage_->restore();
  return tensor;
}

Tensor Tensor::view(std::shared_ptr<Storage> storage, int64_t offset, Shape shape, DType dtype) {
  Tensor tensor;
  tensor.shape_ = shape;
  tensor.dtype_ = dtype;
  tensor.offset_ = offset;
  tensor.storage_ = std::move(storage);
  return tensor;
}

Tensor Tensor::alias(Shape shape) const {
  if (shape.elements() != elements()) throw InternalError(text("a tensor ", shape_, " cannot be seen as ", shape));
  Tensor tensor = detached();
  tensor.shape_ = shape;
  return tensor;
}

Tensor Tensor::rows(int64_t first, int64_t count) const {
  if (first < 0 || count < 0 || first + count > shape_[0])
    throw InternalError(text("rows [", first, ", ", first + count, ") of a tensor ", shape_));
  Tensor tensor = detached();
  int64_t row_bytes = shape_[0] ? bytes() / shape_[0] : 0;
  tensor.offset_ += first * row_bytes;
  tensor.shape_ = shape_.with_rows(count);
  return tensor;
}

Tensor Tensor::detached() const { return view(storage_, offset_, shape_, dtype_); }

void Tensor::make_leaf(GradientSink* sink) {
  node_ = sink ? std::make_shared<GradientNode>(GradientNode{sink, 0}) : nullptr;
}

std::optional<GradientSlot> Tensor::gradient_slot() const { return is_leaf() ? node_->sink->slot() : std::nullopt; }

}  // namespace lathe
