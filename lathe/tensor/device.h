#pragma once

#include <cstdint>
#include <string>

namespace lathe {

enum class Backend : uint8_t { cpu, cuda };

/// Where a tensor lives. A `meta` device behaves as the device it imitates in every decision, but holds no bytes and
/// runs no kernels: it only counts.
struct Device {
  Backend backend = Backend::cpu;
  int index = 0;
  bool meta = false;

  bool operator==(const Device&) const = default;
  Device as_meta() const { return {backend, index, true}; }
  std::string name() const;  ///< "cpu:0", "meta:cuda:1"
};

}  // namespace lathe
