#include "lathe/quant/block_records.h"

#include <atomic>
#include <cmath>
#include <cstring>

#include "lathe/base/error.h"

namespace lathe {
namespace {

/// Puts the 32 elements of `parts` from `first` on into a record, as its row `row`.
struct RecordWriter {
  const BlockFormat& format;
  BlockRecords records;
  std::atomic<bool>& beyond;

  uint8_t nibble(uint8_t code) const {
    return format.table.empty() && !records.lows ? uint8_t(code + 8 - format.offset) : code;
  }
  void put_code(std::byte* record, int row, int element, uint8_t code) const {
    int lane = row % 8 * 4 + element % 16 / 4, half = element / 16;
    if (records.code_bits == 8)
      record[lane * 16 + half * 8 + row / 8 * 4 + element % 4] = std::byte(int8_t(format.value(code)));
    else
      record[lane * 8 + row / 8 * 4 + element % 4] |= std::byte(nibble(code) << 4 * half);
  }
  void put_half(std::byte* to, float value) const {
    if (!(std::abs(value) < 65504)) beyond = true;
    F16 half(value);
    std::memcpy(to, &half, 2);
  }
  void put(const BlockParts& parts, int first, int row, std::byte* record) const {
    for (int i = 0; i < BlockRecords::kDepth; ++i) put_code(record, row, i, parts.codes[first + i]);
    std::byte* scales = record + records.code_bytes() + row / 8 * 2;
    for (int g = 0; g < records.groups; ++g) {
      int64_t group = first / format.group + g;
      std::byte* to = scales + (row % 8 * records.groups + g) * 4;
      put_half(to, parts.scale * float(parts.scales[group]));
      if (records.lows) put_half(to + records.scale_bytes(), parts.low * float(parts.lows[group]));
    }
  }
};

}  // namespace

void pack_records(const BlockFormat& format, const std::byte* from, int64_t count, int64_t in, std::byte* to) {
  BlockRecords records(format);
  std::atomic<bool> beyond = false;
  RecordWriter writer{format, records, beyond};
  int64_t row_bytes = bytes_of_row(format, in), tile_bytes = in / BlockRecords::kDepth * records.bytes();
  std::memset(to, 0, size_t(records.bytes_of({count, in})));
#pragma omp parallel for schedule(static)
  for (int64_t row = 0; row < count; ++row) {
    const std::byte* block = from + row * row_bytes;
    std::byte* record = to + row / BlockRecords::kRows * tile_bytes;
    BlockParts parts;
    for (int64_t at = 0; at < in; at += format.elements, block += format.bytes) {
      format.split(block, parts);
      for (int first = 0; first < format.elements; first += BlockRecords::kDepth, record += records.bytes())
        writer.put(parts, first, int(row % BlockRecords::kRows), record);
    }
  }
  require(!beyond, format.name,
          ": a block has a scale that is no number below 65504, which a GPU cannot multiply as it "
          "is; --device cpu can");
}

}  // namespace lathe
