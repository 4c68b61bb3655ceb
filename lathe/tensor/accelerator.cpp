#include "lathe/tensor/accelerator.h"

#include <dlfcn.h>

#include <filesystem>

#include "lathe/base/error.h"
#include "lathe/base/numbers.h"

namespace lathe {
namespace {

namespace fs = std::filesystem;

AcceleratorPlugin provided{};

/// The folder of liblathe.so, whatever loaded it.
fs::path library_folder() {
  Dl_info info{};
  dladdr(reinterpret_cast<void*>(&provide_accelerators), &info);
  return fs::path(info.dli_fname).parent_path();
}

/// Why the plugin cannot be used; empty when it is loaded. It stays loaded: its kernels have registered themselves.
std::string load_plugin() {
  if (!dlopen("libcuda.so.1", RTLD_NOW)) return "no NVIDIA driver is installed here (libcuda.so.1)";
  fs::path plugin = library_folder() / "lathe_cuda.so";
  if (!fs::exists(plugin)) return "this lathe was built without its CUDA plugin (" + plugin.string() + ")";
  if (!dlopen(plugin.c_str(), RTLD_NOW)) return text("the CUDA plugin cannot be loaded: ", dlerror());
  if (!provided.find) throw InternalError("the CUDA plugin registered with another copy of liblathe.so");
  return "";
}

}  // namespace

bool provide_accelerators(AcceleratorPlugin plugin) {
  provided = plugin;
  return true;
}

const Accelerators& accelerators() {
  static const Accelerators found = [] {
    std::string why_none = load_plugin();
    return why_none.empty() ? provided.find() : Accelerators{{}, why_none};
  }();
  return found;
}

std::string describe(const Accelerators& accelerators) {
  if (accelerators.gpus.empty()) return "no GPU: " + accelerators.why_none;
  std::string line;
  for (size_t i = 0; i < accelerators.gpus.size(); ++i) {
    const AcceleratorInfo& gpu = accelerators.gpus[i];
    line += text(i ? "; " : "", "cuda:", i, " ", gpu.name, " (", gpu.architecture, "), ", format_bytes(gpu.free_bytes),
                 " of ", format_bytes(gpu.memory_bytes), " free");
  }
  return line;
}

std::unique_ptr<Accelerator> open_accelerator(Device device) {
  if (device.backend == Backend::cpu || device.meta) return nullptr;
  const Accelerators& found = accelerators();
  require(!found.gpus.empty(), device.name(), " was asked for, but ", found.why_none);
  require(device.index >= 0 && device.index < int(found.gpus.size()), device.name(), " was asked for, but there is ",
          describe(found));
  return provided.open(device.index);
}

}  // namespace lathe
