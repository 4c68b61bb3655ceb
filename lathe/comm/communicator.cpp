#include "lathe/comm/communicator.h"

#include "lathe/base/error.h"

namespace lathe {
namespace {

void count_sent(const Tensor& x, int64_t bytes) { x.storage().runtime().totals.bytes_communicated += bytes; }

void check_parts(const char* name, const Tensor& part, const Tensor& whole, int size) {
  if (part.elements() * size != whole.elements() || part.dtype() != whole.dtype())
    throw InternalError(text(name, ": ", size, " parts ", part.shape(), " do not make ", whole.shape()));
}

class CountingCommunicator : public Communicator {
 public:
  CountingCommunicator(int rank, int size) : Communicator(rank, size) {}
  void run_all_reduce(Tensor&) override { refuse(); }
  void run_all_gather(const Tensor&, Tensor&) override { refuse(); }
  void run_reduce_scatter(const Tensor&, Tensor&) override { refuse(); }
  void run_all_to_all(const Tensor&, Tensor&) override { refuse(); }
  void run_broadcast(Tensor&, int) override { refuse(); }
  void run_send(const Tensor&, int) override { refuse(); }
  void run_receive(Tensor&, int) override { refuse(); }

 private:
  static void refuse() { throw InternalError("a counting communicator carries no values"); }
};

}  // namespace

Pending Communicator::all_reduce(Tensor& x) {
  if (size_ == 1) return {};
  count_sent(x, 2 * x.bytes() * (size_ - 1) / size_);
  if (!x.is_meta()) run_all_reduce(x);
  return {};
}

Pending Communicator::all_gather(const Tensor& part, Tensor& whole) {
  check_parts("all_gather", part, whole, size_);
  count_sent(whole, part.bytes() * (size_ - 1));
  if (!whole.is_meta()) run_all_gather(part, whole);
  return {};
}

Pending Communicator::reduce_scatter(const Tensor& whole, Tensor& part) {
  check_parts("reduce_scatter", part, whole, size_);
  count_sent(part, part.bytes() * (size_ - 1));
  if (!part.is_meta()) run_reduce_scatter(whole, part);
  return {};
}

Pending Communicator::all_to_all(const Tensor& mine, Tensor& theirs) {
  check_parts("all_to_all", mine, theirs, 1);
  count_sent(theirs, mine.bytes() * (size_ - 1) / size_);
  if (!theirs.is_meta()) run_all_to_all(mine, theirs);
  return {};
}

Pending Communicator::broadcast(Tensor& x, int root) {
  if (size_ == 1) return {};
  count_sent(x, rank_ == root ? x.bytes() : 0);
  if (!x.is_meta()) run_broadcast(x, root);
  return {};
}

Pending Communicator::send(const Tensor& x, int to) {
  count_sent(x, x.bytes());
  if (!x.is_meta()) run_send(x, to);
  return {};
}

Pending Communicator::receive(Tensor& x, int from) {
  if (!x.is_meta()) run_receive(x, from);
  return {};
}

std::unique_ptr<Communicator> make_counting_communicator(int rank, int size) {
  return std::make_unique<CountingCommunicator>(rank, size);
}

}  // namespace lathe
