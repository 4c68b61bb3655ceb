#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <thread>
#include <utility>

#include "lathe/base/bounded_queue.h"
#include "lathe/base/threads.h"

namespace lathe {

/// Makes items ahead of their use, in order, on a thread of its own. `make` gives the next item, or nullopt at the end;
/// what it throws is thrown by next() in its place. next() is for one thread.
template <class T>
class Prefetcher {
 public:
  Prefetcher(const std::string& thread_name, int64_t ahead, std::function<std::optional<T>()> make)
      : queue_(ahead), thread_(start_thread(thread_name, [this, make = std::move(make)] { fill(make); })) {}
  Prefetcher(const Prefetcher&) = delete;
  Prefetcher& operator=(const Prefetcher&) = delete;
  /// Waits for the item that is being made; those not asked for are dropped.
  ~Prefetcher() {
    queue_.close();
    thread_.join();
  }

  std::optional<T> next() {
    auto start = std::chrono::steady_clock::now();
    auto stop_clock = [&] { waited_ += std::chrono::steady_clock::now() - start; };
    try {
      std::optional<T> item = queue_.pop();
      stop_clock();
      return item;
    } catch (...) {
      stop_clock();
      throw;
    }
  }

  /// How long next() has waited, in all.
  double waited_seconds() const { return std::chrono::duration<double>(waited_).count(); }

 private:
  void fill(const std::function<std::optional<T>()>& make) {
    try {
      while (std::optional<T> item = make())
        if (!queue_.push(std::move(*item))) return;
      queue_.close();
    } catch (...) {
      queue_.fail(std::current_exception());
    }
  }

  std::chrono::steady_clock::duration waited_{};
  BoundedQueue<T> queue_;
  std::thread thread_;
};

}  // namespace lathe
