#include "lathe/tokenize/parallel.h"

#include <omp.h>

#include <exception>

namespace lathe::tokenize {

int resolved_threads(int threads) { return threads > 0 ? threads : omp_get_max_threads(); }

int thread_number() { return omp_get_thread_num(); }

void for_each_parallel(size_t count, int threads, const std::function<void(size_t)>& work) {
  std::exception_ptr failure;
#pragma omp parallel for schedule(dynamic, 1) num_threads(resolved_threads(threads))
  for (size_t i = 0; i < count; ++i) {
    try {
      work(i);
    } catch (...) {
#pragma omp critical(lathe_tokenize_failure)
      if (!failure) failure = std::current_exception();
    }
  }
  if (failure) std::rethrow_exception(failure);
}

}  // namespace lathe::tokenize
