#pragma once

#include <filesystem>
#include <string>

namespace lathe {

/// The root of the checkout under test: the environment's LATHE_CHECKOUT where the programs were built elsewhere.
std::filesystem::path checkout();

/// The build folder that this test program is part of.
std::filesystem::path build_folder();

/// Where shared test data `name` lies: below the environment's LATHE_DATA, or below ../shared/data beside the checkout.
/// Empty when it is not there; a test then skips with `no_shared_data(name)`.
std::string shared_data(const std::string& name);
std::string no_shared_data(const std::string& name);

}  // namespace lathe
