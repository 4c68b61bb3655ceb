#include "tests/support/ranks.h"

#include <omp.h>

#include <exception>
#include <thread>
#include <vector>

namespace lathe {

void on_ranks(int size, const std::function<void(Communicator& ranks)>& body) {
  auto group = make_thread_group(size);
  std::vector<std::exception_ptr> errors(static_cast<size_t>(size)), consequences = errors;
  std::vector<std::thread> threads;
  for (int rank = 0; rank < size; ++rank)
    threads.emplace_back([&, rank] {
      omp_set_num_threads(1);
      Runtime runtime({}, 256 << 20);
      try {
        body(*join(group, rank));
      } catch (const RankLeft&) {
        consequences[size_t(rank)] = std::current_exception();
      } catch (...) {
        errors[size_t(rank)] = std::current_exception();
      }
    });
  for (std::thread& thread : threads) thread.join();
  errors.insert(errors.end(), consequences.begin(), consequences.end());
  for (const std::exception_ptr& error : errors)
    if (error) std::rethrow_exception(error);
}

Mesh tensor_mesh(Communicator& ranks) {
  Communicator& one = mesh_of_one().data;
  return {one, ranks, one, one, one};
}

Mesh data_mesh(Communicator& ranks) {
  Communicator& one = mesh_of_one().data;
  return {ranks, one, one, one, one};
}

}  // namespace lathe
