#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <exception>
#include <mutex>
#include <optional>
#include <utility>

#include "lathe/base/error.h"

namespace lathe {

/// Hands items from threads that make them to threads that use them, in order, holding at most `capacity`.
/// Any thread may call anything.
template <class T>
class BoundedQueue {
 public:
  explicit BoundedQueue(int64_t capacity) : capacity_(capacity) {
    if (capacity < 1) throw InternalError(text("a queue of ", capacity, " items"));
  }

  /// Waits for room. False, and the item is dropped, once the queue is closed.
  bool push(T item) {
    std::unique_lock lock(mutex_);
    room_.wait(lock, [&] { return closed_ || int64_t(items_.size()) < capacity_; });
    if (closed_) return false;
    items_.push_back(std::move(item));
    filled_.notify_one();
    return true;
  }

  /// Waits for an item. Once the queue is closed: the items that are left, then the exception of fail() if there was
  /// one, thrown, else nullopt.
  std::optional<T> pop() {
    std::unique_lock lock(mutex_);
    filled_.wait(lock, [&] { return closed_ || !items_.empty(); });
    if (items_.empty()) {
      if (failure_) std::rethrow_exception(failure_);
      return std::nullopt;
    }
    std::optional<T> item(std::move(items_.front()));
    items_.pop_front();
    room_.notify_one();
    return item;
  }

  /// No more items come; whoever waits goes on.
  void close() { fail(nullptr); }
  /// Closes, and lets pop() throw `failure` after the items before it. The first call counts.
  void fail(std::exception_ptr failure) {
    std::lock_guard lock(mutex_);
    if (!closed_) failure_ = std::move(failure);
    closed_ = true;
    filled_.notify_all();
    room_.notify_all();
  }

  int64_t size() const {
    std::lock_guard lock(mutex_);
    return int64_t(items_.size());
  }

 private:
  const int64_t capacity_;
  mutable std::mutex mutex_;
  std::condition_variable room_, filled_;
  std::deque<T> items_;
  std::exception_ptr failure_;
  bool closed_ = false;
};

}  // namespace lathe
