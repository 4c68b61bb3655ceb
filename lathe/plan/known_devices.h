#pragma once

#include <array>

namespace lathe {

/// A GPU that plans can be made for without having it.
struct KnownDevice {
  const char* name;     ///< as `lathe plan --device` takes it
  const char* profile;  ///< a DeviceProfile, as TOML
};

extern const char* const kH200Profile;  ///< measured: h200_profile.cpp
extern const std::array<KnownDevice, 5> kKnownDevices;

}  // namespace lathe
