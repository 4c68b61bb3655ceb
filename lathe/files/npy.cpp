#include "lathe/files/npy.h"

#include "lathe/base/error.h"

namespace lathe {
namespace {

constexpr size_t kHeader = 128;  // as NumPy aligns the data; room for any number of rows

std::string header_of(int64_t rows, int64_t columns) {
  std::string header("\x93NUMPY\x01\x00\x76\x00", 10);  // version 1.0; 118 bytes follow
  header += text("{'descr': '<f4', 'fortran_order': False, 'shape': (", rows, ", ", columns, "), }");
  header.resize(kHeader - 1, ' ');
  return header + "\n";
}

}  // namespace

NpyWriter::NpyWriter(const std::string& path, int64_t columns) : file_(path), columns_(columns) {
  file_.write(header_of(0, columns));
}

void NpyWriter::add(std::span<const float> row) {
  if (int64_t(row.size()) != columns_) throw InternalError("a row of another width in a .npy file");
  file_.write(std::as_bytes(row));
  ++rows_;
}

void NpyWriter::commit() {
  std::string header = header_of(rows_, columns_);
  file_.write_at(0, bytes_of(header));
  file_.commit();
}

}  // namespace lathe
