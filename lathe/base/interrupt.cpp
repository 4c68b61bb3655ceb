#include "lathe/base/interrupt.h"

#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <string_view>

#include "lathe/base/error.h"

namespace lathe {
namespace {

std::atomic<int> received = 0;
std::atomic<bool> installed = false;
std::string_view notice;  // does not change while the handler is installed
struct sigaction before_interrupt, before_terminate;
static_assert(std::atomic<int>::is_always_lock_free);

void handle(int signal) {
  int saved = errno;
  int none = 0;
  if (!received.compare_exchange_strong(none, signal)) ::_exit(128 + signal);
  [[maybe_unused]] ssize_t written = ::write(STDERR_FILENO, notice.data(), notice.size());
  errno = saved;
}

}  // namespace

InterruptGuard::InterruptGuard(std::string_view message) {
  if (installed.exchange(true)) throw InternalError("a second InterruptGuard");
  received = 0;
  notice = message;
  struct sigaction action {};
  action.sa_handler = handle;
  action.sa_flags = SA_RESTART;  // reads and writes go on: the program looks at the flag when it is ready
  sigemptyset(&action.sa_mask);
  ::sigaction(SIGINT, &action, &before_interrupt);
  ::sigaction(SIGTERM, &action, &before_terminate);
}

InterruptGuard::~InterruptGuard() {
  ::sigaction(SIGINT, &before_interrupt, nullptr);
  ::sigaction(SIGTERM, &before_terminate, nullptr);
  installed = false;
}

bool interrupted() { return received.load(std::memory_order_relaxed) != 0; }

int interrupt_status() {
  int signal = received.load(std::memory_order_relaxed);
  return signal ? 128 + signal : 0;
}

}  // namespace lathe
