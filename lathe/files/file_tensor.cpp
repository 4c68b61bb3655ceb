#include "lathe/files/file_tensor.h"

#include <algorithm>
#include <cstring>

#include "lathe/base/error.h"
#include "lathe/quant/block_format.h"

namespace lathe {
namespace {

/// Element `i` of those at `from`, which may be any byte of a file.
template <class T>
T element_at(const std::byte* from, int64_t i) {
  T element;
  std::memcpy(&element, from + i * int64_t(sizeof(T)), sizeof(T));
  return element;
}

/// Where the elements of a slice's rows lie in the file's tensor.
struct Places {
  const FileTensor& tensor;
  const Slice& slice;
  bool transposed = slice.transposed && !tensor.out_in;
  int64_t row_stride = transposed ? 1 : slice.whole_columns, stride = transposed ? slice.whole_rows : 1;

  int64_t first_of(int64_t row) const {
    int64_t of_tensor = slice.first_row + row;
    return (tensor.row ? tensor.row(of_tensor) : of_tensor) * row_stride + slice.first_column * stride;
  }
};

template <class From, class To>
void read_rows(const Places& places, To* to) {
  const Slice& slice = places.slice;
  const std::byte* from = places.tensor.bytes.data();
  const float add = places.tensor.add;
#pragma omp parallel for schedule(static)
  for (int64_t row = 0; row < slice.rows; ++row) {
    int64_t first = places.first_of(row);
    for (int64_t column = 0; column < slice.columns; ++column)
      to[row * slice.columns + column] = To(float(element_at<From>(from, first + column * places.stride)) + add);
  }
}

/// The same for types that have no arithmetic here.
template <class To>
void read_rows(const Places& places, const ElementType& type, To* to) {
  const Slice& slice = places.slice;
  const std::byte* from = places.tensor.bytes.data();
#pragma omp parallel for schedule(static)
  for (int64_t row = 0; row < slice.rows; ++row) {
    int64_t first = places.first_of(row);
    for (int64_t column = 0; column < slice.columns; ++column)
      to[row * slice.columns + column] =
          To(type.value(from + (first + column * places.stride) * type.bytes) + places.tensor.add);
  }
}

/// Calls use(row of the slice, where its blocks begin in the file).
template <class Use>
void each_row_of_blocks(const FileTensor& tensor, const BlockFormat& format, const Slice& slice, Use use) {
  int64_t whole = bytes_of_row(format, slice.whole_columns), first = bytes_of_row(format, slice.first_column);
#pragma omp parallel for schedule(static)
  for (int64_t row = 0; row < slice.rows; ++row) {
    int64_t of_tensor = slice.first_row + row;
    use(row, tensor.bytes.data() + (tensor.row ? tensor.row(of_tensor) : of_tensor) * whole + first);
  }
}

/// Rows of blocks as they are, into u8, or as numbers.
void read_blocks(const FileTensor& tensor, const BlockFormat& format, const Slice& slice, DType dtype, std::byte* to) {
  if (dtype == DType::u8) {
    int64_t bytes = bytes_of_row(format, slice.columns);
    return each_row_of_blocks(tensor, format, slice, [&](int64_t row, const std::byte* blocks) {
      std::memcpy(to + row * bytes, blocks, size_t(bytes));
    });
  }
  visit_floating(dtype, [&]<class To>(Element<To>) {
    auto* rows = reinterpret_cast<To*>(to);
    each_row_of_blocks(tensor, format, slice, [&](int64_t row, const std::byte* blocks) {
      float elements[256];
      for (int64_t at = 0; at < slice.columns; at += format.elements, blocks += format.bytes) {
        dequantize_blocks(format, blocks, format.elements, elements);
        for (int64_t i = 0; i < format.elements; ++i) rows[row * slice.columns + at + i] = To(elements[i] + tensor.add);
      }
    });
  });
}

/// Rows that change: whole ones are read, changed and then cut.
void read_changed(const FileTensor& tensor, const Slice& slice, DType dtype, std::byte* to) {
  constexpr int64_t kRowsAtOnce = 64;
  FileTensor plain = tensor;
  plain.change = nullptr;
  Slice whole = slice;
  whole.first_column = 0;
  whole.columns = slice.whole_columns;
  std::vector<float> numbers(size_t(kRowsAtOnce * whole.columns));
  for (int64_t done = 0; done < slice.rows; done += whole.rows) {
    whole.first_row = slice.first_row + done;
    whole.rows = std::min(kRowsAtOnce, slice.rows - done);
    read_slice(plain, whole, DType::f32, reinterpret_cast<std::byte*>(numbers.data()));
    visit_floating(dtype, [&]<class To>(Element<To>) {
#pragma omp parallel for schedule(static)
      for (int64_t i = 0; i < whole.rows; ++i) {
        float* row = numbers.data() + i * whole.columns;
        tensor.change(whole.first_row + i, std::span(row, size_t(whole.columns)));
        auto* out = reinterpret_cast<To*>(to) + (done + i) * slice.columns;
        for (int64_t c = 0; c < slice.columns; ++c) out[c] = To(row[slice.first_column + c]);
      }
    });
  }
}

/// Zeros for the rows that the file leaves out, and what it has of the rest.
void read_rest(const FileTensor& tensor, Slice slice, DType dtype, std::byte* to) {
  const int64_t missing = std::clamp<int64_t>(tensor.left_out - slice.first_row, 0, slice.rows);
  const int64_t bytes = missing * slice.columns * size_of(dtype);
  std::memset(to, 0, size_t(bytes));
  slice.first_row = std::max<int64_t>(slice.first_row - tensor.left_out, 0);
  slice.rows -= missing;
  slice.whole_rows -= tensor.left_out;
  FileTensor rest = tensor;
  rest.left_out = 0;
  if (slice.rows > 0) read_slice(rest, slice, dtype, to + bytes);
}

}  // namespace

std::string shape_text(const std::vector<int64_t>& shape) {
  std::string out = "[";
  for (size_t i = 0; i < shape.size(); ++i) out += text(i ? ", " : "", shape[i]);
  return out + "]";
}

std::vector<int64_t> file_shape(const Slice& slice) {
  if (slice.vector) return {slice.whole_rows};
  if (slice.transposed) return {slice.whole_columns, slice.whole_rows};
  return {slice.whole_rows, slice.whole_columns};
}

void check_fits(const FileTensor& tensor, const Slice& slice) {
  Slice as_there = slice;
  as_there.transposed = slice.transposed && !tensor.out_in;
  as_there.whole_rows -= tensor.left_out;
  require(tensor.shape == file_shape(as_there), tensor.file, ": tensor \"", tensor.name, "\" is ",
          shape_text(tensor.shape), "; the model needs ", shape_text(file_shape(as_there)));
  if (const BlockFormat* format = find_block_format(tensor.type); format && !tensor.elements()) {
    require(!slice.vector && !as_there.transposed && slice.whole_columns % format->elements == 0, tensor.file,
            ": tensor \"", tensor.name, "\" has type ", tensor.type, "; blocks must divide the rows of a matrix");
    return;
  }
  const ElementType* type = tensor.elements();
  require(type != nullptr, tensor.file, ": tensor \"", tensor.name, "\" has type ", tensor.type, ", which is not read");
  require(type->value != nullptr, tensor.file, ": tensor \"", tensor.name, "\" has type ", tensor.type,
          "; the model needs F32, BF16, F16 or another floating type");
}

void read_slice(const FileTensor& tensor, const Slice& slice, DType dtype, std::byte* to) {
  if (tensor.left_out > 0) return read_rest(tensor, slice, dtype, to);
  if (tensor.change) return read_changed(tensor, slice, dtype, to);
  const BlockFormat* format = find_block_format(tensor.type);
  if (format && (dtype == DType::u8 || !tensor.elements())) return read_blocks(tensor, *format, slice, dtype, to);
  const ElementType& type = *tensor.elements();
  Places places{tensor, slice};
  visit_floating(dtype, [&]<class To>(Element<To>) {
    auto* rows = reinterpret_cast<To*>(to);
    if (type.dtype && is_floating(*type.dtype))
      visit_floating(*type.dtype, [&]<class From>(Element<From>) { read_rows<From>(places, rows); });
    else
      read_rows(places, type, rows);
  });
}

}  // namespace lathe
