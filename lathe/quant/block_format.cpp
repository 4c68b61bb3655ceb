#include "lathe/quant/block_format.h"

#include <map>

#include "lathe/base/error.h"

namespace lathe {
namespace {

std::map<std::string_view, BlockFormat>& formats() {
  static std::map<std::string_view, BlockFormat> all;
  return all;
}

void dequantize_block(const BlockFormat& format, const std::byte* block, float* to) {
  if (format.numbers) return format.numbers(block, to);
  BlockParts parts;
  format.split(block, parts);
  for (int64_t i = 0; i < format.elements; ++i) {
    int64_t g = i / format.group;
    to[i] =
        parts.scale * float(parts.scales[g]) * float(format.value(parts.codes[i])) - parts.low * float(parts.lows[g]);
  }
}

}  // namespace

bool provide_block_format(const BlockFormat& format) { return formats().emplace(format.name, format).second; }

const BlockFormat* find_block_format(std::string_view name) {
  auto found = formats().find(name);
  return found == formats().end() ? nullptr : &found->second;
}

std::vector<std::string> block_format_names() {
  std::vector<std::string> names;
  for (const auto& [name, format] : formats()) names.emplace_back(name);
  return names;
}

int64_t bytes_of_row(const BlockFormat& format, int64_t elements) {
  require(elements % format.elements == 0, format.name, ": a row of ", elements, " elements is not whole blocks of ",
          format.elements);
  return elements / format.elements * format.bytes;
}

void dequantize_blocks(const BlockFormat& format, const std::byte* blocks, int64_t elements, float* to) {
  int64_t count = bytes_of_row(format, elements) / format.bytes;
  for (int64_t b = 0; b < count; ++b) dequantize_block(format, blocks + b * format.bytes, to + b * format.elements);
}

void quantize_blocks(const BlockFormat& format, const float* from, int64_t elements, std::byte* blocks) {
  require(format.quantize != nullptr, format.name, " can be read, but not written; Q8_0, Q4_0 and Q4_1 can");
  int64_t count = bytes_of_row(format, elements) / format.bytes;
  for (int64_t b = 0; b < count; ++b) format.quantize(from + b * format.elements, blocks + b * format.bytes);
}

}  // namespace lathe
