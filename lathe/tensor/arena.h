#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "lathe/tensor/device.h"
#include "lathe/tensor/placement.h"

namespace lathe {

class Accelerator;

/// What bytes are for. Every allocation carries one; reports are grouped by it.
enum class Purpose : uint8_t { weights, gradients, optimizer, activations, kv_cache, workspace };
constexpr size_t kPurposes = 6;
const char* name_of(Purpose purpose);

/// Bytes allocated while this object lives are counted under `purpose` (per thread).
class PurposeScope {
 public:
  explicit PurposeScope(Purpose purpose);
  ~PurposeScope();
  PurposeScope(const PurposeScope&) = delete;
  static Purpose current();

 private:
  Purpose previous_;
};

struct MemoryRange {
  int64_t offset = 0;
  int64_t bytes = 0;  ///< rounded up to the arena's alignment
  Purpose purpose = Purpose::activations;
  int64_t noted = 0;    ///< its number among all noted lifetimes, from 1; 0: not noted
  int64_t episode = 0;  ///< the episode that placed it, from 1; 0: its address is the free list's
};

using BytesByPurpose = std::array<int64_t, kPurposes>;

struct MemoryUse {
  int64_t live = 0;
  int64_t peak = 0;      ///< highest `live` so far
  int64_t reserved = 0;  ///< highest address used so far: what the device must provide
  BytesByPurpose live_by_purpose{};
  BytesByPurpose at_peak{};  ///< `peak`, split by purpose
};

/// The address ranges of one device. Outside episodes it hands out the best fit; within one, the offsets of a rehearsed
/// placement, above all that is live when the episode begins. Either way the result depends on the sequence of calls
/// alone, so a meta arena predicts a real one exactly. One thread uses an arena.
class Arena {
 public:
  static constexpr int64_t kAlignment = 256;

  /// Reserves `capacity` bytes: on a CPU address space, whose pages are taken when first touched; on a GPU all of them,
  /// of `accelerator`, which must outlive the arena. Nothing on a meta device.
  Arena(Device device, int64_t capacity, Accelerator* accelerator = nullptr);
  ~Arena();
  Arena(const Arena&) = delete;

  /// A range of at least `bytes`, under the current Purpose. Throws Error with a table by purpose when it does not fit.
  MemoryRange allocate(int64_t bytes);
  void release(const MemoryRange& range);

  /// From here to end(), allocation n is placed at `placement.offsets[n]`, and may be smaller than rehearsed but not
  /// larger. `placement` must outlive the episode. Throws InternalError where the run departs from the rehearsal.
  void begin(const Placement& placement);
  /// Ends the episode. Throws InternalError unless everything it allocated has been released.
  void end();
  /// Ends the episode after an exception, without that check. What is still alive may be released later, but its bytes
  /// are anyone's from here on.
  void abandon();

  /// Notes the lifetimes of all allocations from here until take_lifetimes().
  void note_lifetimes();
  std::vector<Lifetime> take_lifetimes();
  int64_t noted_calls() const { return noted_calls_; }  ///< since note_lifetimes()

  std::byte* base() const { return base_; }  ///< null on meta devices
  int64_t capacity() const { return capacity_; }
  const MemoryUse& use() const { return use_; }
  int64_t kept_end() const;  ///< where live bytes end and an episode would begin
  void forget_peak();        ///< `peak` and `at_peak` start again from what is live

 private:
  Device device_;
  Accelerator* accelerator_;
  int64_t capacity_;
  std::byte* base_ = nullptr;
  std::map<int64_t, int64_t> free_by_offset_;
  std::set<std::pair<int64_t, int64_t>> free_by_size_;
  MemoryUse use_;
  const Placement* placement_ = nullptr;
  int64_t episodes_ = 0;  ///< begun so far
  int64_t episode_base_ = 0, episode_next_ = 0, episode_live_ = 0;
  bool noting_ = false;
  std::vector<Lifetime> lifetimes_;
  int64_t noted_calls_ = 0, noted_before_ = 0;  ///< lifetimes taken away before lifetimes_[0]

  void add_free(int64_t offset, int64_t bytes);
  void remove_free(int64_t offset, int64_t bytes);
  int64_t best_fit(int64_t bytes);
  int64_t rehearsed(int64_t bytes);
  void give_back(int64_t offset, int64_t bytes);
  [[noreturn]] void out_of_memory(int64_t bytes) const;
};

/// The table a message or report shows: one line a purpose that has bytes.
std::string table_of(const BytesByPurpose& bytes);

}  // namespace lathe
