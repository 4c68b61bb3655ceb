#include "lathe/comm/communicator.h"

#include <cstring>

#include "lathe/base/error.h"

namespace lathe {
namespace {

void count_sent(const Tensor& x, int64_t bytes) { x.storage().runtime().totals.bytes_communicated += bytes; }

void check_parts(const char* name, const Tensor& part, const Tensor& whole, int size) {
  if (part.elements() * size != whole.elements() || part.dtype() != whole.dtype())
    throw InternalError(text(name, ": ", size, " parts ", part.shape(), " do not make ", whole.shape()));
}

void copy_bytes(const Tensor& from, Tensor& to) {
  std::memcpy(to.data<std::byte>(), from.data<std::byte>(), size_t(from.bytes()));
}

/// Of a group of one, the part is the whole; larger groups exist on paper only.
class CountingCommunicator : public Communicator {
 public:
  CountingCommunicator(int rank, int size) : Communicator(rank, size) {}
  void run_all_reduce(Tensor&) override { refuse(); }
  void run_all_gather(const Tensor& part, Tensor& whole) override { copy_alone(part, whole); }
  void run_reduce_scatter(const Tensor& whole, Tensor& part) override { copy_alone(whole, part); }
  void run_all_to_all(const Tensor& mine, Tensor& theirs) override { copy_alone(mine, theirs); }
  void run_broadcast(Tensor&, int) override { refuse(); }
  void run_send(const Tensor&, int) override { refuse(); }
  void run_receive(Tensor&, int) override { refuse(); }

 private:
  void copy_alone(const Tensor& from, Tensor& to) const {
    if (size() != 1) refuse();
    copy_bytes(from, to);
  }
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
  if (mine.elements() % size_ != 0)
    throw InternalError(text("all_to_all: ", mine.shape(), " does not divide into ", size_, " pieces"));
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
