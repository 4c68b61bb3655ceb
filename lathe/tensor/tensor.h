#pragma once

#include <memory>
#include <optional>

#include "lathe/tensor/dtype.h"
#include "lathe/tensor/runtime.h"
#include "lathe/tensor/shape.h"

namespace lathe {

/// The bytes of one arena range; freed with the last tensor that shares it.
class Storage {
 public:
  explicit Storage(int64_t bytes);  ///< on the current Runtime; without bytes until restore()
  ~Storage();
  Storage(const Storage&) = delete;
  void restore();  ///< takes bytes, uninitialized, under the current Purpose; no-op when present
  void drop();     ///< gives the bytes back while tensors keep pointing here (ZeRO-3, offload, recomputation)
  bool present() const { return present_; }
  std::byte* data() const;  ///< null on meta devices. Throws InternalError while dropped.
  int64_t bytes() const { return bytes_; }
  Runtime& runtime() const { return runtime_; }

 private:
  Runtime& runtime_;
  int64_t bytes_;
  MemoryRange range_;
  bool present_ = false;
};

class Tensor;

/// Where a leaf's gradient may be written in place: f32 of the leaf's shape.
struct GradientSlot;

/// Receives the gradient of a leaf tensor, once for each use of it.
class GradientSink {
 public:
  virtual ~GradientSink() = default;
  /// A place to write or add one use's gradient to directly; none when it must go through receive(). Calling it claims
  /// the write: it must follow at once.
  virtual std::optional<GradientSlot> slot();
  virtual void receive(const Tensor& gradient) = 0;
};

/// What the tape knows of a tensor: its identity, without its bytes.
struct GradientNode {
  GradientSink* sink = nullptr;  ///< set on leaves only
  uint64_t tape = 0;             ///< which tape made it; 0 for leaves
};

/// A contiguous, row-major, typed array. A cheap handle: copies share the bytes.
class Tensor {
 public:
  Tensor() = default;
  static Tensor declare(Shape shape, DType dtype = DType::f32);  ///< a shape without bytes yet
  static Tensor empty(Shape shape, DType dtype = DType::f32);    ///< uninitialized bytes
  static Tensor empty_like(const Tensor& other) { return empty(other.shape_, other.dtype_); }

  explicit operator bool() const { return bool(storage_); }
  const Shape& shape() const { return shape_; }
  DType dtype() const { return dtype_; }
  int64_t elements() const { return shape_.elements(); }
  int64_t bytes() const { return elements() * size_of(dtype_); }
  Device device() const { return storage_->runtime().device; }
  bool is_meta() const { return device().meta; }
  Storage& storage() const { return *storage_; }
  const std::shared_ptr<Storage>& shared_storage() const { return storage_; }
  int64_t offset() const { return offset_; }  ///< bytes into the storage
  /// True when no other tensor shares the bytes, so that their reader may overwrite them.
  bool unique() const { return storage_.use_count() == 1; }

  template <class T>
  T* data() const {
    std::byte* bytes = storage_->data();
    return bytes ? reinterpret_cast<T*>(bytes + offset_) : nullptr;
  }

  /// Same bytes under another shape of as many elements; not recorded (ops/reshape is).
  Tensor alias(Shape shape) const;
  /// Rows [first, first + count) of the first extent, sharing bytes; not recorded (ops/rows is).
  Tensor rows(int64_t first, int64_t count) const;
  /// The same bytes, unknown to any tape.
  Tensor detached() const;
  /// A handle on `storage` seen as `shape` of `dtype`, `offset` bytes in; how recomputation finds outputs again.
  static Tensor view(std::shared_ptr<Storage> storage, int64_t offset, Shape shape, DType dtype);

  bool needs_gradient() const { return bool(node_); }
  void make_leaf(GradientSink* sink);  ///< null: a constant
  bool is_leaf() const { return node_ && node_->sink; }
  /// The slot of a leaf's sink, where it offers one; see GradientSink::slot.
  std::optional<GradientSlot> gradient_slot() const;

  const std::shared_ptr<GradientNode>& node() const { return node_; }
  void set_node(std::shared_ptr<GradientNode> node) { node_ = std::move(node); }  ///< for the tape alone

 private:
  Shape shape_;
  DType dtype_ = DType::f32;
  int64_t offset_ = 0;
  std::shared_ptr<Storage> storage_;
  std::shared_ptr<GradientNode> node_;
};

struct GradientSlot {
  Tensor into;  ///< f32, the leaf's shape
  bool add;     ///< false: `into` holds nothing yet, overwrite it
};

}  // namespace lathe
