#include "lathe/base/isa.h"

#include <atomic>
#include <cstdlib>
#include <string_view>

#include "lathe/base/error.h"

namespace lathe {
namespace {

Isa best_available() {
  for (Isa isa : {Isa::avx512, Isa::avx2})
    if (isa_available(isa)) return isa;
  return Isa::plain;
}

Isa checked(Isa isa) {
  require(isa_available(isa), "this processor lacks ", isa_name(isa), "; its best is ", isa_name(best_available()));
  return isa;
}

Isa from_environment() {
  const char* asked = std::getenv("LATHE_ISA");
  if (!asked || !*asked) return best_available();
  for (Isa isa : {Isa::plain, Isa::avx2, Isa::avx512})
    if (std::string_view(asked) == isa_name(isa)) return checked(isa);
  throw Error(text("LATHE_ISA=", asked, " is not one of plain, avx2, avx512"));
}

std::atomic<Isa>& current() {
  static std::atomic<Isa> isa = from_environment();
  return isa;
}

std::atomic<bool>& pairs() {
  static std::atomic<bool> fast = !__builtin_cpu_is("intel") || __builtin_cpu_is("cooperlake");
  return fast;
}

}  // namespace

const char* isa_name(Isa isa) {
  constexpr const char* names[] = {"plain", "avx2", "avx512"};
  return names[size_t(isa)];
}

bool isa_available(Isa isa) {
  if (isa == Isa::plain) return true;
  bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  if (isa == Isa::avx2) return avx2;
  return avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
         __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512bf16");
}

Isa isa() { return current().load(std::memory_order_relaxed); }
void set_isa(Isa isa) { current().store(checked(isa), std::memory_order_relaxed); }

bool multiplies_pairs() { return pairs().load(std::memory_order_relaxed); }
void set_multiplies_pairs(bool multiplies) { pairs().store(multiplies, std::memory_order_relaxed); }

}  // namespace lathe
