#include "lathe/plan/device_profile.h"

#include <algorithm>
#include <filesystem>

#include "lathe/base/error.h"
#include "lathe/base/nearest.h"
#include "lathe/base/numbers.h"
#include "lathe/base/settings.h"
#include "lathe/plan/known_devices.h"

namespace lathe {

void describe(Section& section, DeviceRates& r) {
  section.field("f32_tflops", r.f32_tflops, "products of f32 numbers").at_least(0);
  section.field("bf16_tflops", r.bf16_tflops, "of bf16").at_least(0);
  section.field("fp8_tflops", r.fp8_tflops, "of fp8").at_least(0);
  section.field("gigabytes_per_second", r.gigabytes_per_second, "read and written").at_least(0);
}

void describe(Section& section, KernelRate& r) {
  section.field("kernel", r.kernel, "its name, as lathe bench shows it").required().not_empty();
  section.field("dtype", r.dtype, "of the jobs that it holds for").one_of({"f32", "bf16"}).required();
  section.field("head_dim", r.head_dim, "of the jobs that it holds for; 0: any").at_least(0);
  section.field("microseconds", r.microseconds, "of a call, whatever it does").at_least(0);
  section.field("tflops", r.tflops, "0: arithmetic takes no time").at_least(0);
  section.field("gigabytes_per_second", r.gigabytes_per_second, "0: traffic takes no time").at_least(0);
}

void describe(Section& section, DeviceProfile& p) {
  section.field("name", p.name, "as the driver calls it").required().not_empty();
  section.field("architecture", p.architecture, "as sm_90").required().not_empty();
  section.check(p.architecture.starts_with("sm_"), "architecture ", p.architecture, " must be as sm_90");
  section.field("source", p.source, "where the numbers are from");
  section.bytes("memory", p.memory, "that the driver shows").above(0).required();
  section.bytes("context", p.context, "that opening the GPU takes").at_least(0);
  section.bytes("libraries", p.libraries, "that loaded kernels and handles of libraries take").at_least(0);
  section.bytes("host", p.host, "that driver and libraries take of the host's memory").at_least(0);
  section.field("launch_microseconds", p.launch_microseconds, "of a kernel that does nothing, in a graph").at_least(0);
  section.section("data_sheet", p.data_sheet, "what its maker says");
  section.section("measured", p.measured, "at best");
  section.list("kernel", p.kernels, "how long a call takes");
}

namespace {

constexpr int64_t kFirstWithBf16 = 80, kFirstWithFp8 = 89;

/// 90 of "sm_90".
int64_t capability(const DeviceProfile& profile) { return parse_int(profile.architecture.substr(3), "architecture"); }

DeviceProfile parsed(const SettingsSource& source) { return read_settings<DeviceProfile>(source); }

SettingsSource built_in(const KnownDevice& device) {
  return {.name = device.name, .text = device.profile, .overrides = {}, .format = DeviceProfile::kFormat};
}

/// The one that is measured; what others do not say is taken from it.
const DeviceProfile& h200() {
  static const DeviceProfile profile = parsed(built_in(kKnownDevices.front()));
  return profile;
}

DeviceProfile completed(DeviceProfile profile) {
  if (profile.outside() == 0) profile.context = h200().context, profile.libraries = h200().libraries;
  if (profile.host == 0) profile.host = h200().host;
  if (profile.launch_microseconds == 0) profile.launch_microseconds = h200().launch_microseconds;
  return profile;
}

/// Throws Error where a profile lacks what every estimate rests on.
DeviceProfile checked(DeviceProfile profile, const std::string& where) {
  profile = completed(std::move(profile));
  for (DType dtype : {DType::f32, DType::bf16}) {
    if (!computes_in(profile, dtype)) continue;
    Ceilings ceilings = profile.ceilings(dtype);
    require(ceilings.flops_per_second > 0 && ceilings.bytes_per_second > 0, where, ": ", name_of(dtype),
            "_tflops and gigabytes_per_second are needed in [measured] or [data_sheet]");
  }
  return profile;
}

double tflops(const DeviceRates& rates, DType dtype) {
  return dtype == DType::bf16 ? rates.bf16_tflops : rates.f32_tflops;
}

}  // namespace

Ceilings DeviceProfile::ceilings(DType dtype) const {
  auto reached = [&](auto rate) {
    if (double own = rate(measured); own > 0) return own;
    return rate(data_sheet) * rate(h200().measured) / rate(h200().data_sheet);
  };
  return {reached([&](const DeviceRates& r) { return tflops(r, dtype); }) * 1e12,
          reached([](const DeviceRates& r) { return r.gigabytes_per_second; }) * 1e9, launch_microseconds * 1e-6};
}

std::vector<std::string> known_devices() {
  std::vector<std::string> names;
  for (const KnownDevice& device : kKnownDevices) names.push_back(device.name);
  return names;
}

DeviceProfile read_device_profile(const std::string& name_or_path) {
  for (const KnownDevice& device : kKnownDevices)
    if (name_or_path == device.name) return checked(parsed(built_in(device)), device.name);
  if (std::filesystem::exists(name_or_path))
    return checked(parsed(settings_file(name_or_path, {}, DeviceProfile::kFormat)), name_or_path);
  std::vector<std::string> names = known_devices();
  throw Error(text("no device is called ", name_or_path, did_you_mean(name_or_path, names),
                   "; a file that `lathe bench --profile` wrote will do too"));
}

DeviceProfile profile_of(const AcceleratorInfo& gpu) {
  for (const KnownDevice& device : kKnownDevices)
    if (DeviceProfile profile = parsed(built_in(device)); profile.name == gpu.name) return completed(profile);
  DeviceProfile other;
  other.name = gpu.name;
  other.architecture = gpu.architecture;
  other.source = "this machine's driver";
  other.memory = gpu.memory_bytes;
  return completed(other);
}

std::string print_device_profile(const DeviceProfile& profile) {
  return print_settings(profile, DeviceProfile::kFormat);
}

bool computes_in(const DeviceProfile& profile, DType dtype) {
  return dtype == DType::f32 || capability(profile) >= kFirstWithBf16;
}

bool multiplies_fp8(const DeviceProfile& profile) { return capability(profile) >= kFirstWithFp8; }

}  // namespace lathe
