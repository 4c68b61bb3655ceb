#include "tests/support/checkout.h"

#include <cstdlib>

namespace lathe {

std::filesystem::path checkout() {
  const char* moved = std::getenv("LATHE_CHECKOUT");
  return moved && *moved ? moved : LATHE_SOURCE_DIR;
}

std::filesystem::path build_folder() {
  return checkout() / std::filesystem::path(LATHE_BUILD_DIR).lexically_relative(LATHE_SOURCE_DIR);
}

std::string shared_data(const std::string& name) {
  const char* asked = std::getenv("LATHE_DATA");
  std::filesystem::path folder = asked && *asked ? asked : checkout() / ".." / "shared" / "data";
  return std::filesystem::exists(folder / name) ? (folder / name).string() : "";
}

std::string no_shared_data(const std::string& name) { return "no " + name + " in LATHE_DATA or ../shared/data"; }

}  // namespace lathe
