#include "lathe/quant/block_product.h"

#include <cstring>

#include "lathe/ops/matmul_cuda.cuh"
#include "lathe/quant/block_records.h"

#include "lathe/ops/matmul_ring.cuh"  // behind headers with DType::bf16, which its bf16 would be shadowed by

namespace lathe {
namespace {

/// What codes of 4 bits stand for.
struct CodeValues {
  uint32_t table[4];  ///< signed bytes
  int offset;         ///< where there is no table
  bool has_table;
};

CodeValues values_of(const BlockFormat& format) {
  CodeValues values{{}, format.offset, !format.table.empty()};
  if (values.has_table) std::memcpy(values.table, format.table.data(), sizeof values.table);
  return values;
}

/// Two signed bytes, the low ones of each half of `bytes`, as bf16: exact, as 128 + the low seven bits less 128 or 256.
__device__ inline uint32_t pair_of_bytes(uint32_t bytes) {
  uint32_t low = (bytes & 0x007f007f) | 0x43004300, taken = (bytes & 0x00800080) | 0x43004300;
  __nv_bfloat162 pair = __hsub2(reinterpret_cast<__nv_bfloat162&>(low), reinterpret_cast<__nv_bfloat162&>(taken));
  return reinterpret_cast<uint32_t&>(pair);
}

/// Four signed bytes as two pairs.
__device__ inline void pairs_of_bytes(uint32_t bytes, uint32_t& first, uint32_t& second) {
  first = pair_of_bytes(__byte_perm(bytes, 0, 0x4140));
  second = pair_of_bytes(__byte_perm(bytes, 0, 0x4342));
}

/// Four bytes of a table of 16 by the low four nibbles of `codes`.
__device__ inline uint32_t look_up(const uint32_t (&table)[4], uint32_t codes) {
  uint32_t low = __byte_perm(table[0], table[1], codes & 0x7777),
           high = __byte_perm(table[2], table[3], codes & 0x7777);
  uint32_t from_high = (codes & 0x8888) >> 1;  // 4 picks from `high`, 0 from `low`
  return __byte_perm(low, high, 0x3210 | from_high);
}

/// Four codes of 4 bits, the low ones of `codes`, as two pairs.
__device__ inline void pairs_of_nibbles(const CodeValues& values, uint32_t codes, uint32_t& first, uint32_t& second) {
  if (values.has_table) return pairs_of_bytes(look_up(values.table, codes), first, second);
  uint32_t shift = 0x43004300 + uint32_t(values.offset) * 0x00010001u;  // 128 + offset, twice
  auto less = [&](uint32_t pair) {
    pair |= 0x43004300;
    __nv_bfloat162 value = __hsub2(reinterpret_cast<__nv_bfloat162&>(pair), reinterpret_cast<__nv_bfloat162&>(shift));
    return reinterpret_cast<uint32_t&>(value);
  };
  first = less((codes & 0xf) | (codes & 0xf0) << 12);
  second = less((codes >> 8 & 0xf) | (codes & 0xf000) << 4);
}

/// A weight in records. Sums of codes are exact for each group, and scaled then.
template <int code_bits, int groups, bool lows>
struct RecordSource {
  static constexpr int kCodeBytes = BlockRecords::kRows * BlockRecords::kDepth * code_bits / 8;
  static constexpr int kScaleBytes = BlockRecords::kRows * groups * 2;
  static constexpr int kRecordBytes = kCodeBytes + kScaleBytes * (lows ? 2 : 1);
  static constexpr int kTileBytes = kRingWarps * kPieceSteps * kRecordBytes;
  static_assert(BlockRecords::kRows == kWeightRows && BlockRecords::kDepth == kDepthStep && kRecordBytes % 16 == 0);
  const std::byte* records;
  CodeValues values;
  bool is_constant;

  __device__ static int tile_bytes(const NarrowProduct& p, int k) {
    return min(kPieceDepth, p.depth - k) / kDepthStep * kRecordBytes;
  }
  template <class S>
  __device__ static int tiles(const NarrowProduct& p, int first) {
    return min(S::weight_tiles, (p.columns - first + kWeightRows - 1) / kWeightRows);
  }
  template <class S>
  __device__ int bytes(const NarrowProduct& p, int first, int k) const {
    return tiles<S>(p, first) * tile_bytes(p, k);
  }
  template <class S>
  __device__ void copy(const NarrowProduct& p, int first, int k, std::byte* to, uint64_t* full, uint64_t policy,
                       int lane) const {
    if (lane >= tiles<S>(p, first)) return;
    int64_t at = int64_t(first / kWeightRows + lane) * (p.depth / kDepthStep) + k / kDepthStep;
    copy_bulk(records + at * kRecordBytes, to + lane * kTileBytes, tile_bytes(p, k), full, policy);
  }

  /// Of one of the two halves of a row's 32 elements.
  __device__ void scales(const std::byte* record, int row, int half, float& scale, float& low) const {
    auto* of_row = reinterpret_cast<const __half*>(record + kCodeBytes) + row * groups + (groups == 2 ? half : 0);
    scale = __half2float(*of_row);
    low = lows ? __half2float(of_row[kWeightRows * groups]) : 0;
  }

  /// A lane's codes of one record, as the mma's a operands of elements 0 to 15 and 16 to 31.
  struct Codes {
    uint32_t a[2][4];
    __device__ Codes(const std::byte* record, int lane, const CodeValues& values) {
      if constexpr (code_bits == 8) {
        uint4 codes = reinterpret_cast<const uint4*>(record)[lane];
        pairs_of_bytes(codes.x, a[0][0], a[0][2]);
        pairs_of_bytes(codes.y, a[1][0], a[1][2]);
        pairs_of_bytes(codes.z, a[0][1], a[0][3]);
        pairs_of_bytes(codes.w, a[1][1], a[1][3]);
      } else {
        uint2 codes = reinterpret_cast<const uint2*>(record)[lane];
        pairs_of_nibbles(values, codes.x, a[0][0], a[0][2]);
        pairs_of_nibbles(values, codes.x >> 16, a[1][0], a[1][2]);
        pairs_of_nibbles(values, codes.y, a[0][1], a[0][3]);
        pairs_of_nibbles(values, codes.y >> 16, a[1][1], a[1][3]);
      }
    }
  };

  template <class S>
  struct Lane {
    int lane = int(threadIdx.x) % 32, row = lane / 4;
    int own = int(threadIdx.x) / 32 * kPieceSteps * kDepthStep;
    uint2 x[kPieceSteps][S::row_tiles][2];

    __device__ void begin(const NarrowProduct& p) {
#pragma unroll
      for (int s = 0; s < kPieceSteps; ++s) read(p, s, 0);
    }
    __device__ void read(const NarrowProduct& p, int s, int piece) {
      int k = piece + own + s * kDepthStep;
#pragma unroll
      for (int j = 0; j < S::row_tiles; ++j)
#pragma unroll
        for (int half = 0; half < 2; ++half) {
          int64_t at = int64_t(row + kNarrowRows * j) * p.depth + k + 16 * half + lane % 4 * 4;
          bool any = k < p.depth && row + kNarrowRows * j < p.rows;
          x[s][j][half] = any ? *reinterpret_cast<const uint2*>(p.x + at) : uint2{0, 0};
        }
    }
    __device__ void multiply(const NarrowProduct& p, const RecordSource& source, const std::byte* stage, int piece,
                             int next, RingSums<S>& sums) {
#pragma unroll
      for (int s = 0; s < kPieceSteps; ++s) {
        if (piece + own + s * kDepthStep < p.depth)
#pragma unroll
          for (int i = 0; i < S::weight_tiles; ++i)
            multiply_record(stage + i * kTileBytes + (own / kDepthStep + s) * kRecordBytes, source.values, s, sums[i]);
        read(p, s, next);
      }
    }
    __device__ void multiply_record(const std::byte* record, const CodeValues& values, int s,
                                    float (&sums)[S::row_tiles][4]) {
      Codes codes(record, lane, values);
      auto* scales = reinterpret_cast<const __half*>(record + kCodeBytes);
#pragma unroll
      for (int g = 0; g < groups; ++g) {
        float scale[2] = {__half2float(scales[row * groups + g]), __half2float(scales[(row + 8) * groups + g])};
#pragma unroll
        for (int j = 0; j < S::row_tiles; ++j) {
          float of_codes[4] = {};
#pragma unroll
          for (int half = 0; half < 2; ++half)
            if (groups == 1 || half == g) add_half(codes.a[half], x[s][j][half], of_codes);
#pragma unroll
          for (int n = 0; n < 4; ++n) sums[j][n] += scale[n / 2] * of_codes[n];
          if constexpr (lows) take_lows(scales + kWeightRows * groups, g, x[s][j], sums[j]);
        }
      }
    }
    __device__ static void add_half(const uint32_t (&a)[4], const uint2& b, float (&sums)[4]) {
      multiply_add<__nv_bfloat16>(sums, a[0], a[1], a[2], a[3], b.x, b.y);
    }
    /// Lows times the sum of x over the group, which ones multiply to.
    __device__ void take_lows(const __half* all, int g, const uint2 (&narrow)[2], float (&sums)[4]) {
      constexpr uint32_t one = 0x3f803f80;
      float low[2] = {__half2float(all[row * groups + g]), __half2float(all[(row + 8) * groups + g])};
      float of_x[4] = {};
#pragma unroll
      for (int half = 0; half < 2; ++half)
        if (groups == 1 || half == g) add_half({one, one, one, one}, narrow[half], of_x);
#pragma unroll
      for (int n = 0; n < 4; ++n) sums[n] -= low[n / 2] * of_x[n];
    }
  };
};

/// Calls visitor with a RecordSource for the format.
template <class Visitor>
void visit_source(const BlockMatrix& part, Visitor&& visitor) {
  if (!part.packed) throw InternalError("a GPU reads blocks in records");
  BlockRecords records(*part.format);
  auto with = [&]<int bits, int groups, bool lows>() {
    visitor(RecordSource<bits, groups, lows>{part.blocks.data<std::byte>(), values_of(*part.format), true});
  };
  if (records.code_bits == 8 && records.groups == 2) return with.template operator()<8, 2, false>();  // Q6_K
  if (records.code_bits == 8)
    return records.lows ? with.template operator()<8, 1, true>() : with.template operator()<8, 1, false>();
  if (records.groups == 2)
    return records.lows ? with.template operator()<4, 2, true>() : with.template operator()<4, 2, false>();
  records.lows ? with.template operator()<4, 1, true>() : with.template operator()<4, 1, false>();
}

/// Which rows of a part go where: `count` rows, those of `ids` (or all) that are in [first, first + rows).
template <class T>
struct RowsRead {
  const int* ids;
  int first, rows;
  int64_t count, steps;
  T* out;
};

/// A thread for each row, step and lane of four.
template <class Source, class T>
__global__ void __launch_bounds__(kThreads) read_rows(Source source, RowsRead<T> p) {
  take_turn();
  int64_t quads = p.count * p.steps * 4;
  for (int64_t i = blockIdx.x * int64_t(blockDim.x) + threadIdx.x; i < quads; i += int64_t(gridDim.x) * blockDim.x) {
    int quad = int(i % 4);
    int64_t step = i / 4 % p.steps, to = i / 4 / p.steps, from = p.ids ? p.ids[to] - p.first : to;
    if (from < 0 || from >= p.rows) continue;
    int row = int(from % kWeightRows);
    const std::byte* record = source.records + (from / kWeightRows * p.steps + step) * Source::kRecordBytes;
    typename Source::Codes codes(record, row % 8 * 4 + quad, source.values);
    T* out = p.out + ((p.ids ? to : p.first + to) * p.steps + step) * kDepthStep + quad * 4;
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      float values[4], scale, low;
      source.scales(record, row, half, scale, low);
      for (int n = 0; n < 4; ++n) {
        uint32_t pair = codes.a[half][n / 2 * 2 + row / 8];
        values[n] = scale * __uint_as_float(n % 2 ? pair & 0xffff0000 : pair << 16) - low;
      }
      store(values, out + half * 16);
    }
  }
}

/// Rows `ids`, or all, of [rows, depth] that the parts are.
template <class T>
void read_all(std::span<const BlockMatrix> parts, const int* ids, int64_t count, int64_t depth, T* out,
              cudaStream_t stream) {
  RowsRead<T> p{ids, 0, 0, count, depth / kDepthStep, out};
  for (const BlockMatrix& part : parts) {
    p.rows = int(part.shape[0]);
    if (!ids) p.count = p.rows;
    visit_source(part, [&]<class Source>(const Source& source) {
      launch_early(read_rows<Source, T>, {blocks_for(p.count * p.steps * 4), kThreads, stream}, "block_rows", source,
                   p);
    });
    p.first += p.rows;
  }
}

void block_rows_cuda(std::span<const BlockMatrix> parts, const Tensor& ids, Tensor& rows) {
  if (rows.elements() == 0) return;
  visit_device(rows.dtype(), [&]<class T>(Element<T>) {
    read_all(parts, on_device<const int>(ids), rows.shape()[0], rows.shape()[1], on_device<T>(rows), stream_of(rows));
  });
}

void multiply_few(const BlockProduct& product, Tensor& out) {
  const Tensor& x = product.x;
  NarrowProduct p{.x = on_device<const __nv_bfloat16>(x),
                  .out = out.data<std::byte>(),
                  .bias = on_device<const float>(product.bias),
                  .residual = on_device<const std::byte>(product.residual),
                  .rows = int(x.shape().rows()),
                  .columns = 0,
                  .depth = int(x.shape().columns()),
                  .out_columns = int(out.shape().columns()),
                  .add = false};
  for (const BlockMatrix& part : product.parts) {
    p.columns = int(part.shape[0]);
    visit_source(part, [&](auto source) { launch_ring<__nv_bfloat16>(p, source, stream_of(out), "block_product"); });
    p.first_column += p.columns;
  }
}

void multiply_dequantized(const BlockProduct& product, Tensor& workspace, Tensor& out) {
  const Tensor& x = product.x;
  int64_t rows = x.shape().rows(), depth = x.shape().columns(), columns = out.shape().columns();
  std::byte* weight = workspace.data<std::byte>();
  visit_device(x.dtype(), [&]<class T>(Element<T>) {
    read_all(product.parts, nullptr, columns, depth, reinterpret_cast<T*>(weight), stream_of(out));
  });
  Matrix narrow{.data = x.data<std::byte>(), .outer = rows, .depth = depth, .stride = depth, .dtype = x.dtype()};
  multiply_many_rows({.a = narrow,
                      .b = {.data = weight, .outer = columns, .depth = depth, .stride = depth, .dtype = x.dtype()},
                      .out = out.data<std::byte>(),
                      .out_dtype = out.dtype(),
                      .bias = on_device<const float>(product.bias),
                      .residual = on_device<const std::byte>(product.residual),
                      .workspace = weight + gpu_weight_bytes(product)},
                     stream_of(out));
}

void block_product_cuda(const BlockProduct& product, Tensor& workspace, Tensor& out) {
  if (out.elements() == 0) return;
  bool few = product.x.shape().rows() <= kFewRows && product.x.dtype() == DType::bf16 && packs_fit(8, 8, {&product.x});
#ifndef LATHE_SM_90A
  few = false;
#endif
  few ? multiply_few(product, out) : multiply_dequantized(product, workspace, out);
}

const bool provided = block_product_kernel.provide(Backend::cuda, block_product_cuda) &&
                      block_rows_kernel.provide(Backend::cuda, block_rows_cuda);

}  // namespace
}  // namespace lathe
