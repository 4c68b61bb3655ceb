#include "tests/quant/block_support.h"

#include <algorithm>
#include <cmath>
#include <random>

#include "lathe/tensor/host_bytes.h"
#include "lathe/tensor/sum.h"
#include "tests/support/whole_pass.h"

namespace lathe {

/// Any bytes are blocks, but scales that are no numbers or huge are of no use here.
void fill_blocks(const BlockFormat& format, const Tensor& rows, uint64_t seed) {
  HostBytes host(rows, HostBytes::Use::write);
  auto* bytes = host.data<std::byte>();
  int64_t count = rows.bytes() / format.bytes;
  std::mt19937 random{uint32_t(seed)};
  constexpr int64_t kDistinct = 500;  // they are slow to find
  for (int64_t b = 0; b < count; ++b, bytes += format.bytes) {
    if (b >= kDistinct) {
      std::copy_n(bytes - kDistinct * format.bytes, format.bytes, bytes);
      continue;
    }
    float elements[256];
    do {
      for (int64_t i = 0; i < format.bytes; ++i)  // halves below 2
        bytes[i] = std::byte(random() >> 8) & std::byte(format.numbers && i % 2 ? 0xbf : 0xff);
      dequantize_blocks(format, bytes, format.elements, elements);
    } while (!std::all_of(elements, elements + format.elements, [](float x) { return std::abs(x) < 4; }));
  }
  host.store();
}

void fill(const Inventory& inventory, const std::vector<const BlockFormat*>& formats) {
  for (size_t i = 0; i < inventory.stored.size(); ++i) fill_blocks(*formats[i], inventory.stored[i]->kept, i);
}

Tensor noise(Shape shape, DType dtype, uint64_t seed) {
  Tensor tensor = Tensor::empty(shape);
  HostBytes host(tensor, HostBytes::Use::write);
  for (int64_t i = 0; i < shape.elements(); ++i) host.data<float>()[i] = Random(seed).normal(uint64_t(i));
  host.store();
  return converted(tensor, dtype);
}

double difference(const std::vector<float>& x, const std::vector<float>& y) {
  double error = 0, size = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    error += std::pow(double(x[i]) - y[i], 2);
    size += std::pow(double(y[i]), 2);
  }
  return std::sqrt(error / size);
}

double difference(const Tensor& a, const Tensor& b) { return difference(values_of(a), values_of(b)); }

}  // namespace lathe
