#pragma once

#include <condition_variable>
#include <cstdint>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "lathe/base/threads.h"

namespace lathe::data {

/// Makes items on one thread, works on them on several, and takes the results in the order the items were made, on the
/// thread that calls run(). At most 2 * threads + 2 items exist at a time. What any of the three throws ends the run
/// and is thrown by run(), after all threads have ended.
template <class Item, class Result>
class OrderedPipeline {
 public:
  using Make = std::function<bool(Item&)>;  // false at the end; the item then counts for nothing
  using Work = std::function<void(Item&, Result&)>;
  using Take = std::function<void(Result&)>;

  explicit OrderedPipeline(int threads) : threads_(threads), slots_(static_cast<size_t>(2 * threads + 2)) {}

  void run(const Make& make, const Work& work, const Take& take) {
    std::vector<std::thread> all;
    all.push_back(start_thread("data-read", [&] { guarded([&] { make_all(make); }); }));
    for (int i = 0; i < threads_; ++i)
      all.push_back(start_thread("data-work", [&] { guarded([&] { work_all(work); }); }));
    guarded([&] { take_all(take); });
    for (std::thread& thread : all) thread.join();
    if (failure_) std::rethrow_exception(failure_);
  }

 private:
  enum class State { free, filled, done };
  /// Items and results stay in their slots, so their memory is used again.
  struct Slot {
    Item item;
    Result result;
    State state = State::free;
  };

  Slot& slot(int64_t number) { return slots_[static_cast<size_t>(number) % slots_.size()]; }

  void make_all(const Make& make) {
    for (int64_t number = 0;; ++number) {
      Slot& here = slot(number);
      if (!wait([&] { return here.state == State::free; })) return;
      const bool more = make(here.item);
      const std::lock_guard lock(mutex_);
      if (more) here.state = State::filled;
      (more ? made_ : end_) = number + more;
      changed_.notify_all();
      if (!more) return;
    }
  }

  void work_all(const Work& work) {
    while (true) {
      int64_t number = -1;  // of the item to work on; stays -1 at the end
      const auto claim = [&] {
        if (begun_ < made_) number = begun_++;
        return number >= 0 || begun_ == end_;
      };
      if (!wait(claim) || number < 0) return;
      work(slot(number).item, slot(number).result);
      set(slot(number), State::done);
    }
  }

  void take_all(const Take& take) {
    for (int64_t number = 0;; ++number) {
      Slot& here = slot(number);
      bool ended = false;
      if (!wait([&] { return here.state == State::done || (ended = number == end_); }) || ended) return;
      take(here.result);
      set(here, State::free);
    }
  }

  void set(Slot& here, State state) {
    const std::lock_guard lock(mutex_);
    here.state = state;
    changed_.notify_all();
  }

  /// Waits for `ready`; false when the run has failed instead.
  template <class Ready>
  bool wait(Ready ready) {
    std::unique_lock lock(mutex_);
    bool is_ready = false;
    changed_.wait(lock, [&] { return failure_ || (is_ready = ready()); });
    return is_ready;
  }

  template <class Action>
  void guarded(Action action) {
    try {
      action();
    } catch (...) {
      const std::lock_guard lock(mutex_);
      if (!failure_) failure_ = std::current_exception();
      changed_.notify_all();
    }
  }

  int threads_;
  std::vector<Slot> slots_;
  std::mutex mutex_;
  std::condition_variable changed_;
  int64_t made_ = 0, begun_ = 0, end_ = INT64_MAX;  // items made and begun to work on; how many there are, once known
  std::exception_ptr failure_;
};

}  // namespace lathe::data
