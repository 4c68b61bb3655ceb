#include "lathe/data/batch.h"

#include <algorithm>

namespace lathe::data {

int64_t Batch::longest_sequence() const {
  int32_t longest = 0;
  for (size_t i = 1; i < sequence_offsets.size(); ++i)
    longest = std::max(longest, sequence_offsets[i] - sequence_offsets[i - 1]);
  return longest;
}

}  // namespace lathe::data
