#pragma once

#include <cstddef>
#include <functional>

namespace lathe::tokenize {

/// Calls work(0) ... work(count - 1), each once, on `threads` threads (0: all of this machine). Waits for all; what one
/// throws is thrown here.
void for_each_parallel(size_t count, int threads, const std::function<void(size_t)>& work);

/// Which of the threads of for_each_parallel calls this, from 0.
int thread_number();

/// `threads`, or this machine's when it is 0.
int resolved_threads(int threads);

}  // namespace lathe::tokenize
