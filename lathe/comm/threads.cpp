#include <algorithm>
#include <condition_variable>
#include <cstring>
#include <mutex>
#include <span>
#include <vector>

#include "lathe/comm/communicator.h"

namespace lathe {

/// Where the threads of a group wait and leave addresses for each other.
class ThreadGroup {
 public:
  explicit ThreadGroup(int size) : posted(size_t(size)), mail_(size_t(size) * size_t(size)) {}

  /// Returns when all ranks have called it as often.
  void meet() {
    std::unique_lock lock(mutex_);
    int64_t turn = turns_;
    if (++arrived_ == posted.size()) {
      arrived_ = 0;
      ++turns_;
      changed_.notify_all();
    }
    wait(lock, kAll, [&] { return turns_ != turn; });
  }

  void send(int from, int to, std::span<const std::byte> message) {
    std::unique_lock lock(mutex_);
    auto& box = mail_[size_t(from) * posted.size() + size_t(to)];
    wait(lock, to, [&] { return box.empty(); });
    box.assign(message.begin(), message.end());
    changed_.notify_all();
  }

  void receive(int from, int to, std::span<std::byte> message) {
    std::unique_lock lock(mutex_);
    auto& box = mail_[size_t(from) * posted.size() + size_t(to)];
    wait(lock, from, [&] { return !box.empty(); });
    if (box.size() != message.size()) throw InternalError("a message of another size than its receiver's tensor");
    std::copy(box.begin(), box.end(), message.begin());
    box.clear();
    changed_.notify_all();
  }

  void leave(int rank) {
    std::lock_guard lock(mutex_);
    left_.push_back(rank);
    changed_.notify_all();
  }

  std::vector<const std::byte*> posted;  ///< written before a meeting by each rank, read by all until the next

 private:
  static constexpr int kAll = -1;

  /// For what needs rank `needed`. What is ready counts before who has left: a rank may go as soon as it has done its
  /// part.
  template <class Ready>
  void wait(std::unique_lock<std::mutex>& lock, int needed, Ready ready) {
    auto missing = [&] { return needed == kAll ? left_.begin() : std::find(left_.begin(), left_.end(), needed); };
    changed_.wait(lock, [&] { return ready() || missing() != left_.end(); });
    if (!ready()) throw RankLeft(text("rank ", *missing(), " of ", posted.size(), " has left its group"));
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  size_t arrived_ = 0;
  int64_t turns_ = 0;
  std::vector<std::vector<std::byte>> mail_;  ///< [from * size + to]; empty: nothing sent
  std::vector<int> left_;                     ///< in the order in which they went
};

namespace {

/// to[i] = sum over ranks of posted[rank][first + i], in rank order, in f32.
template <class T>
void sum_in_order(const std::vector<const std::byte*>& posted, int64_t first, int64_t count, T* to) {
  for (int64_t i = 0; i < count; ++i) {
    float total = 0;
    for (const std::byte* peer : posted) total += float(reinterpret_cast<const T*>(peer)[first + i]);
    to[i] = T(total);
  }
}

class ThreadCommunicator : public Communicator {
 public:
  ThreadCommunicator(std::shared_ptr<ThreadGroup> group, int rank)
      : Communicator(rank, int(group->posted.size())), group_(std::move(group)) {}
  ~ThreadCommunicator() override { group_->leave(rank()); }

  void run_all_reduce(Tensor& x) override {
    std::vector<std::byte> sum(size_t(x.bytes()));
    meet(x, [&] {
      visit_floating(x.dtype(), [&]<class T>(Element<T>) {
        sum_in_order(group_->posted, 0, x.elements(), reinterpret_cast<T*>(sum.data()));
      });
    });
    std::memcpy(x.data<std::byte>(), sum.data(), sum.size());
  }

  void run_all_gather(const Tensor& part, Tensor& whole) override {
    meet(part, [&] {
      for (size_t peer = 0; peer < group_->posted.size(); ++peer)
        std::memcpy(whole.data<std::byte>() + int64_t(peer) * part.bytes(), group_->posted[peer], size_t(part.bytes()));
    });
  }

  void run_reduce_scatter(const Tensor& whole, Tensor& part) override {
    meet(whole, [&] {
      visit_floating(part.dtype(), [&]<class T>(Element<T>) {
        sum_in_order(group_->posted, rank() * part.elements(), part.elements(), part.data<T>());
      });
    });
  }

  void run_all_to_all(const Tensor& mine, Tensor& theirs) override {
    int64_t piece = mine.bytes() / size();
    meet(mine, [&] {
      for (size_t peer = 0; peer < group_->posted.size(); ++peer)
        std::memcpy(theirs.data<std::byte>() + int64_t(peer) * piece, group_->posted[peer] + rank() * piece,
                    size_t(piece));
    });
  }

  void run_broadcast(Tensor& x, int root) override {
    meet(x, [&] {
      if (rank() != root) std::memcpy(x.data<std::byte>(), group_->posted[size_t(root)], size_t(x.bytes()));
    });
  }

  void run_send(const Tensor& x, int to) override {
    group_->send(rank(), to, {x.data<std::byte>(), size_t(x.bytes())});
  }

  void run_receive(Tensor& x, int from) override {
    group_->receive(from, rank(), {x.data<std::byte>(), size_t(x.bytes())});
  }

 private:
  std::shared_ptr<ThreadGroup> group_;

  /// All ranks post `mine`, then each runs `act`; nobody leaves before all have.
  template <class Act>
  void meet(const Tensor& mine, Act act) {
    group_->posted[size_t(rank())] = mine.data<std::byte>();
    group_->meet();
    act();
    group_->meet();
  }
};

}  // namespace

std::shared_ptr<ThreadGroup> make_thread_group(int size) { return std::make_shared<ThreadGroup>(size); }

std::unique_ptr<Communicator> join(std::shared_ptr<ThreadGroup> group, int rank) {
  return std::make_unique<ThreadCommunicator>(std::move(group), rank);
}

Mesh& mesh_of_one() {
  static std::unique_ptr<Communicator> alone = make_counting_communicator(0, 1);
  static Mesh mesh{*alone, *alone, *alone, *alone, *alone};
  return mesh;
}

}  // namespace lathe
