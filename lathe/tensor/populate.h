#pragma once

#include <cstdint>

namespace lathe {

/// On a CPU, takes pages for the `bytes` behind all that is live on the current Runtime, as far as its arena goes: by
/// all threads at once, for what will be written soon. Threads that fill a tensor together wait while one of them is
/// given the huge page that they share, which is cleared at a few GB/s.
void populate(int64_t bytes);

}  // namespace lathe
