#pragma once

#include <functional>
#include <memory>
#include <utility>

#include "lathe/base/error.h"
#include "lathe/tensor/tensor.h"

namespace lathe {

/// Thrown out of a collective that cannot end, because a rank it needs has left: it failed, and its own error says why,
/// or it made fewer calls than the others.
class RankLeft : public Error {
 public:
  using Error::Error;
};

/// A collective under way. Its tensors must live, and stay unread and unwritten, until wait() returns.
class Pending {
 public:
  Pending() = default;
  explicit Pending(std::function<void()> finish) : finish_(std::move(finish)) {}
  void wait() {
    if (auto finish = std::exchange(finish_, nullptr)) finish();
  }

 private:
  std::function<void()> finish_;
};

/// Ranks that talk to each other. Every rank calls the same collectives in the same order; sums are taken in rank
/// order, so all ranks hold the same bits. On meta tensors a call only counts the bytes this rank puts on the wire
/// (rings: Patarasuk & Yuan 2009), so one process can rehearse any rank of any group.
class Communicator {
 public:
  virtual ~Communicator() = default;
  int rank() const { return rank_; }
  int size() const { return size_; }

  Pending all_reduce(Tensor& x);                              ///< sums in place
  Pending all_gather(const Tensor& part, Tensor& whole);      ///< whole: the ranks' parts one after another
  Pending reduce_scatter(const Tensor& whole, Tensor& part);  ///< part: this rank's share of the sum
  Pending all_to_all(const Tensor& mine, Tensor& theirs);     ///< piece r of `mine` becomes piece rank() there
  Pending broadcast(Tensor& x, int root);
  Pending send(const Tensor& x, int to);
  Pending receive(Tensor& x, int from);

 protected:
  Communicator(int rank, int size) : rank_(rank), size_(size) {}
  virtual void run_all_reduce(Tensor& x) = 0;
  virtual void run_all_gather(const Tensor& part, Tensor& whole) = 0;
  virtual void run_reduce_scatter(const Tensor& whole, Tensor& part) = 0;
  virtual void run_all_to_all(const Tensor& mine, Tensor& theirs) = 0;
  virtual void run_broadcast(Tensor& x, int root) = 0;
  virtual void run_send(const Tensor& x, int to) = 0;
  virtual void run_receive(Tensor& x, int from) = 0;

 private:
  int rank_, size_;
};

/// Rank `rank` of a group that exists only on paper: for meta runs, and for groups of one.
std::unique_ptr<Communicator> make_counting_communicator(int rank, int size);

/// `size` threads of this process, one Runtime each. A rank leaves when its Communicator is destroyed, so one that
/// throws lets none of the others wait: they get RankLeft, from the call they are in or their next.
class ThreadGroup;
std::shared_ptr<ThreadGroup> make_thread_group(int size);
std::unique_ptr<Communicator> join(std::shared_ptr<ThreadGroup> group, int rank);

/// The axes a job is divided along. An unused axis is a group of one.
struct Mesh {
  Communicator &data, &tensor, &pipeline, &sequence, &expert;
};

/// A mesh of one rank; lives as long as the program.
Mesh& mesh_of_one();

}  // namespace lathe
