#pragma once
// Copies of runs of bytes into shared memory by the hardware (cp.async.bulk), and the barriers that tell when they are
// there. Compute capability 9.0.

#include <cstdint>

#include "lathe/tensor/launch.cuh"

#include "lathe/ops/warpgroup.cuh"  // its bf16 would be shadowed in a header behind it

namespace lathe {

/// Barriers that were started are seen by copies.
__device__ inline void show_barriers() { asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory"); }

/// Arrives, and makes the phase last until `bytes` more were copied.
__device__ inline void barrier_expect(uint64_t* barrier, int bytes) {
  asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(shared_address(barrier)), "r"(bytes)
               : "memory");
}

/// For what is read once: it leaves the card's cache first.
__device__ inline uint64_t read_once_policy() {
  uint64_t policy;
  asm("createpolicy.fractional.L2::evict_first.b64 %0, 1.0;" : "=l"(policy));
  return policy;
}

/// Begins to copy `bytes`, a multiple of 16 as are both addresses; `barrier` counts them.
__device__ inline void copy_bulk(const void* from, void* to, int bytes, uint64_t* barrier, uint64_t policy) {
  asm volatile(
      "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes.L2::cache_hint [%0], [%1], %2, [%3], %4;" ::
          "r"(shared_address(to)),
      "l"(from), "r"(bytes), "r"(shared_address(barrier)), "l"(policy)
      : "memory");
}

/// The same for what is read again.
__device__ inline void copy_bulk(const void* from, void* to, int bytes, uint64_t* barrier) {
  asm volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" ::"r"(
                   shared_address(to)),
               "l"(from), "r"(bytes), "r"(shared_address(barrier))
               : "memory");
}

/// Barrier `number` of the block, for `threads` of its threads.
template <int threads>
__device__ void wait_for_threads(int number) {
  asm volatile("bar.sync %0, %1;" ::"r"(number), "n"(threads) : "memory");
}

}  // namespace lathe
