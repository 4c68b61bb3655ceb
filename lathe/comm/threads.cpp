#include <barrier>
#include <condition_variable>
#include <cstring>
#include <mutex>
#include <vector>

#include "lathe/base/error.h"
#include "lathe/comm/communicator.h"

namespace lathe {

/// Where the threads of a group leave addresses for each other.
class ThreadGroup {
 public:
  explicit ThreadGroup(int size) : barrier(size), posted(size_t(size)), mail(size_t(size) * size_t(size)) {}
  std::barrier<> barrier;
  std::vector<const std::byte*> posted;

  std::mutex mutex;
  std::condition_variable changed;
  std::vector<std::vector<std::byte>> mail;  ///< [from * size + to]; empty: nothing sent
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
    std::unique_lock lock(group_->mutex);
    auto& box = group_->mail[size_t(rank() * size() + to)];
    group_->changed.wait(lock, [&] { return box.empty(); });
    box.assign(x.data<std::byte>(), x.data<std::byte>() + x.bytes());
    group_->changed.notify_all();
  }

  void run_receive(Tensor& x, int from) override {
    std::unique_lock lock(group_->mutex);
    auto& box = group_->mail[size_t(from * size() + rank())];
    group_->changed.wait(lock, [&] { return !box.empty(); });
    if (int64_t(box.size()) != x.bytes()) throw InternalError("a message of another size than its receiver's tensor");
    std::memcpy(x.data<std::byte>(), box.data(), box.size());
    box.clear();
    group_->changed.notify_all();
  }

 private:
  std::shared_ptr<ThreadGroup> group_;

  /// All ranks post `mine`, then each runs `act`; nobody leaves before all have.
  template <class Act>
  void meet(const Tensor& mine, Act act) {
    group_->posted[size_t(rank())] = mine.data<std::byte>();
    group_->barrier.arrive_and_wait();
    act();
    group_->barrier.arrive_and_wait();
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
