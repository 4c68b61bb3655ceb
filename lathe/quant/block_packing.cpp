// Panels from rows of blocks, and rows from panels.
#include <algorithm>
#include <cstring>

#include "lathe/ops/parallel.h"
#include "lathe/quant/block_panels.h"
#include "lathe/quant/block_product.h"
#include "lathe/quant/block_records.h"
#include "lathe/tensor/host_bytes.h"

namespace lathe {
namespace {

constexpr int64_t kPackBytes = 1 << 20;  ///< that rows are copied out in at a time

int64_t panel_bytes(const BlockFormat& format, const BlockPanels& panels, int64_t in) {
  return in / format.elements * panels.chunk_bytes;
}

/// One panel of `rows` rows, the others zero.
void pack_panel(const BlockFormat& format, const BlockPanels& panels, const std::byte* from, int64_t rows,
                int64_t row_bytes, std::byte* to) {
  for (int64_t at = 0; at < row_bytes; at += format.bytes, to += panels.chunk_bytes)
    panels.pack(format, from + at, row_bytes, rows, to);
}

void pack(const BlockFormat& format, const Tensor& rows, Tensor& copy, Tensor& packed) {
  const BlockPanels& panels = *find_block_panels(isa(), format);
  int64_t count = rows.shape()[0], row_bytes = rows.shape()[1];
  int64_t bytes = panel_bytes(format, panels, row_bytes / format.bytes * format.elements);
  const std::byte* from = rows.data<std::byte>();
  std::byte *copied = copy.data<std::byte>(), *to = packed.data<std::byte>();
#pragma omp parallel
  {
#pragma omp for schedule(static)  // all are copied before any is written over
    for (int64_t first = 0; first < count; first += kPanelRows)
      std::memcpy(copied + first * row_bytes, from + first * row_bytes,
                  size_t(std::min(kPanelRows, count - first) * row_bytes));
#pragma omp for schedule(static)
    for (int64_t first = 0; first < count; first += kPanelRows)
      pack_panel(format, panels, copied + first * row_bytes, std::min(kPanelRows, count - first), row_bytes,
                 to + first / kPanelRows * bytes);
  }
}

/// What the code of element i of an unpacked lane stands for.
int code_at(const BlockPanels& panels, const uint8_t* codes, int64_t i, int64_t lane) {
  if (panels.wide_codes) {
    int16_t code;
    std::memcpy(&code, codes + (i / 2 * kPanelRows + lane) * 4 + i % 2 * 2, 2);
    return code;
  }
  uint8_t code = codes[(i / 4 * kPanelRows + lane) * 4 + i % 4];
  return (panels.signed_codes ? int8_t(code) : int(code)) - panels.offset;
}

/// Elements [0, in) of row `row` of a packed matrix.
template <class T>
void read_packed(const BlockMatrix& matrix, int64_t row, T* to) {
  const BlockFormat& format = *matrix.format;
  const BlockPanels& panels = *find_block_panels(isa(), format);
  int64_t in = matrix.shape[1], lane = row % kPanelRows;
  const std::byte* panel = matrix.blocks.data<std::byte>() + row / kPanelRows * panel_bytes(format, panels, in);
  alignas(64) uint8_t codes[256 * kPanelRows];
  alignas(64) float scales[16 * kPanelRows], lows[16 * kPanelRows];
  for (int64_t at = 0; at < in; at += format.elements, panel += panels.chunk_bytes, to += format.elements) {
    panels.unpack(panel, 1, {codes, scales, lows});
    for (int64_t i = 0; i < format.elements; ++i) {
      int64_t g = i / format.group * kPanelRows + lane;
      float value = scales[g] * float(code_at(panels, codes, i, lane));
      to[i] = T(panels.lows ? value - lows[g] : value);
    }
  }
}

/// The same of a matrix as files have it.
template <class T>
void read_rows(const BlockMatrix& matrix, int64_t row, T* to) {
  const BlockFormat& format = *matrix.format;
  int64_t row_bytes = bytes_of_row(format, matrix.shape[1]);
  const std::byte* block = matrix.blocks.data<std::byte>() + row * row_bytes;
  float elements[256];
  for (int64_t b = 0; b < row_bytes / format.bytes; ++b, block += format.bytes, to += format.elements) {
    dequantize_blocks(format, block, format.elements, elements);
    for (int64_t i = 0; i < format.elements; ++i) to[i] = T(elements[i]);
  }
}

void rows_plain(std::span<const BlockMatrix> parts, const Tensor& ids, Tensor& rows) {
  visit_floating(rows.dtype(), [&]<class T>(Element<T>) {
#pragma omp parallel for schedule(static) if (rows.elements() > kParallelElements)
    for (int64_t i = 0; i < rows.shape()[0]; ++i) {
      int64_t row = ids ? ids.data<int32_t>()[i] : i;
      const BlockMatrix* part = parts.data();
      for (; row >= part->shape[0]; ++part) row -= part->shape[0];
      T* to = rows.data<T>() + i * rows.shape()[1];
      part->packed ? read_packed(*part, row, to) : read_rows(*part, row, to);
    }
  });
}

const bool provided = block_rows_kernel.provide(Isa::plain, rows_plain) && block_pack_kernel.provide(Isa::plain, pack);

bool on_gpu() { return Runtime::current().device.backend == Backend::cuda; }

const BlockPanels* panels_here(const BlockFormat& format) {
  return on_gpu() ? nullptr : find_block_panels(isa(), format);
}

Tensor bytes_of(const Tensor& rows, int64_t first, int64_t size) {
  if (rows.offset() + first + size > rows.storage().bytes())
    throw InternalError(text("rows ", rows.shape(), " have no room for their ", first + size, " packed bytes"));
  return Tensor::view(rows.shared_storage(), rows.offset() + first, {size}, DType::u8);
}

/// By the host: once a weight, while it is loaded.
BlockMatrix pack_for_gpu(const BlockFormat& format, const Tensor& rows) {
  int64_t count = rows.shape()[0], in = rows.shape()[1] / format.bytes * format.elements;
  Tensor packed = bytes_of(rows, 0, BlockRecords(format).bytes_of({count, in}));
  if (!rows.is_meta() && count > 0) {
    HostBytes from(rows, HostBytes::Use::read), to(packed, HostBytes::Use::write);
    pack_records(format, from.data<std::byte>(), count, in, to.data<std::byte>());
    to.store();
  }
  return {&format, packed, {count, in}, true};
}

}  // namespace

int64_t packed_bytes(const BlockFormat& format, const Shape& shape) {
  const BlockPanels* panels = panels_here(format);
  int64_t bytes = shape[0] * bytes_of_row(format, shape[1]);
  if (on_gpu()) return std::max(bytes, BlockRecords(format).bytes_of(shape));
  if (!panels) return bytes;
  return std::max(bytes, (shape[0] + kPanelRows - 1) / kPanelRows * panel_bytes(format, *panels, shape[1]));
}

BlockMatrix pack_in_place(const BlockFormat& format, const Tensor& rows) {
  int64_t count = rows.shape()[0], row_bytes = rows.shape()[1], in = row_bytes / format.bytes * format.elements;
  if (on_gpu()) return pack_for_gpu(format, rows);
  const BlockPanels* panels = panels_here(format);
  if (!panels || count == 0) return {&format, rows.detached(), {count, in}, panels != nullptr};
  int64_t of_panel = panel_bytes(format, *panels, in), bytes = (count + kPanelRows - 1) / kPanelRows * of_panel;
  Tensor whole = bytes_of(rows, 0, bytes);
  int64_t most = std::max<int64_t>(kPackBytes / (kPanelRows * row_bytes), 1) * kPanelRows;
  PurposeScope scope(Purpose::workspace);
  Tensor copy = Tensor::empty({std::min(most, count), row_bytes}, DType::u8);
  int64_t batches = (count + most - 1) / most;
  bool shrinks = of_panel < kPanelRows * row_bytes;
  for (int64_t i = 0; i < batches; ++i) {  // from the side on which nothing is overwritten before it is read
    int64_t first = (shrinks ? i : batches - 1 - i) * most;
    Tensor some = rows.rows(first, std::min(most, count - first));
    int64_t panels_of_some = (some.shape()[0] + kPanelRows - 1) / kPanelRows;
    Tensor packed = bytes_of(rows, first / kPanelRows * of_panel, panels_of_some * of_panel);
    block_pack_kernel({0, 2 * some.bytes() + packed.bytes()}, format, some, copy, packed);
  }
  return {&format, whole, {count, in}, true};
}

}  // namespace lathe
