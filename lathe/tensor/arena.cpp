#include "lathe/tensor/arena.h"

#include <sys/mman.h>

#include <algorithm>
#include <iomanip>
#include <utility>

#include "lathe/base/error.h"
#include "lathe/tensor/accelerator.h"

namespace lathe {

namespace {
thread_local Purpose current_purpose = Purpose::activations;
}

const char* name_of(Purpose purpose) {
  constexpr const char* names[kPurposes] = {"weights",     "gradients", "optimizer",
                                            "activations", "kv_cache",  "workspace"};
  return names[size_t(purpose)];
}

PurposeScope::PurposeScope(Purpose purpose) : previous_(current_purpose) { current_purpose = purpose; }
PurposeScope::~PurposeScope() { current_purpose = previous_; }
Purpose PurposeScope::current() { return current_purpose; }

std::string table_of(const BytesByPurpose& bytes) {
  std::ostringstream out;
  for (size_t i = 0; i < kPurposes; ++i)
    if (bytes[i])
      out << "  " << std::left << std::setw(12) << name_of(Purpose(i)) << std::right << std::setw(16) << bytes[i]
          << '\n';
  return out.str();
}

Arena::Arena(Device device, int64_t capacity, Accelerator* accelerator)
    : device_(device), accelerator_(accelerator), capacity_(capacity) {
  add_free(0, capacity);
  if (device.meta) return;
  if (accelerator) {
    base_ = accelerator->allocate(capacity);
    return;
  }
  void* memory =
      mmap(nullptr, size_t(capacity), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  require(memory != MAP_FAILED, "cannot reserve ", capacity, " bytes of address space");
  madvise(memory, size_t(capacity), MADV_HUGEPAGE);
  base_ = static_cast<std::byte*>(memory);
}

Arena::~Arena() {
  if (accelerator_)
    accelerator_->free(base_);
  else if (base_)
    munmap(base_, size_t(capacity_));
}

void Arena::add_free(int64_t offset, int64_t bytes) {
  free_by_offset_.emplace(offset, bytes);
  free_by_size_.emplace(bytes, offset);
}

void Arena::remove_free(int64_t offset, int64_t bytes) {
  free_by_offset_.erase(offset);
  free_by_size_.erase({bytes, offset});
}

void Arena::out_of_memory(int64_t bytes) const {
  throw Error(text(device_.name(), ": out of memory: ", bytes, " bytes of ", name_of(PurposeScope::current()),
                   " wanted, ", use_.live, " of ", capacity_, " in use:\n", table_of(use_.live_by_purpose),
                   "a smaller micro_batch or sequence_length, dtype = \"bf16\" or checkpoint = \"block\" needs less; ",
                   "`lathe plan` tells which"));
}

int64_t Arena::best_fit(int64_t bytes) {
  auto fit = free_by_size_.lower_bound({bytes, 0});
  if (fit == free_by_size_.end()) out_of_memory(bytes);
  auto [size, offset] = *fit;
  remove_free(offset, size);
  if (size > bytes) add_free(offset + bytes, size - bytes);
  return offset;
}

/// The end of what is live outside episodes.
int64_t Arena::kept_end() const {
  if (free_by_offset_.empty()) return capacity_;
  auto [offset, bytes] = *free_by_offset_.rbegin();
  return offset + bytes == capacity_ ? offset : capacity_;
}

int64_t Arena::rehearsed(int64_t bytes) {
  size_t n = size_t(episode_next_);
  if (n >= placement_->offsets.size() || bytes > placement_->bytes[n])
    throw InternalError(text("allocation ", n, " of ", bytes,
                             " bytes was not rehearsed: ", n < placement_->bytes.size() ? placement_->bytes[n] : 0,
                             " of ", placement_->bytes.size()));
  int64_t offset = episode_base_ + placement_->offsets[n];
  if (offset + bytes > capacity_) out_of_memory(bytes);
  return offset;
}

MemoryRange Arena::allocate(int64_t bytes) {
  bytes = std::max<int64_t>((bytes + kAlignment - 1) / kAlignment * kAlignment, kAlignment);
  MemoryRange range{placement_ ? rehearsed(bytes) : best_fit(bytes), bytes, PurposeScope::current()};
  if (placement_) {
    range.episode = episodes_;
    ++episode_next_;
    ++episode_live_;
  } else if (noting_) {
    lifetimes_.push_back({bytes, noted_calls_++, INT64_MAX, range.purpose});
    range.noted = noted_before_ + int64_t(lifetimes_.size());
  }
  use_.live_by_purpose[size_t(range.purpose)] += bytes;
  use_.live += bytes;
  use_.reserved = std::max(use_.reserved, range.offset + bytes);
  if (use_.live > use_.peak) {
    use_.peak = use_.live;
    use_.at_peak = use_.live_by_purpose;
  }
  return range;
}

void Arena::release(const MemoryRange& range) {
  use_.live -= range.bytes;
  use_.live_by_purpose[size_t(range.purpose)] -= range.bytes;
  if (range.episode > 0) {
    if (placement_ && range.episode == episodes_) --episode_live_;
    return;
  }
  if (noting_ && range.noted > noted_before_)
    lifetimes_[size_t(range.noted - noted_before_ - 1)].freed = noted_calls_++;
  give_back(range.offset, range.bytes);
}

void Arena::give_back(int64_t offset, int64_t bytes) {
  auto next = free_by_offset_.lower_bound(offset);
  if (next != free_by_offset_.end() && next->first == offset + bytes) {
    int64_t next_bytes = next->second;
    remove_free(offset + bytes, next_bytes);
    bytes += next_bytes;
  }
  auto after = free_by_offset_.lower_bound(offset);
  if (after != free_by_offset_.begin()) {
    auto [previous_offset, previous_bytes] = *std::prev(after);
    if (previous_offset + previous_bytes == offset) {
      remove_free(previous_offset, previous_bytes);
      offset = previous_offset;
      bytes += previous_bytes;
    }
  }
  add_free(offset, bytes);
}

void Arena::begin(const Placement& placement) {
  if (placement_ || noting_) throw InternalError("an episode begins within an episode");
  placement_ = &placement;
  ++episodes_;
  episode_base_ = kept_end();
  episode_next_ = episode_live_ = 0;
}

void Arena::end() {
  int64_t left = episode_live_;
  abandon();
  if (left != 0) throw InternalError(text("an episode ended with ", left, " of its allocations alive"));
}

void Arena::abandon() { placement_ = nullptr; }

void Arena::note_lifetimes() {
  take_lifetimes();
  noting_ = true;
  noted_calls_ = 0;
}

std::vector<Lifetime> Arena::take_lifetimes() {
  noting_ = false;
  noted_before_ += int64_t(lifetimes_.size());
  return std::exchange(lifetimes_, {});
}

void Arena::forget_peak() {
  use_.peak = use_.live;
  use_.at_peak = use_.live_by_purpose;
}

}  // namespace lathe
