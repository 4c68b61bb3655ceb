#pragma once

#include <string>

namespace lathe::cli {

/// `written` with "\n", "\t", "\r" and "\\" for what they mean: a shell passes them as they are written.
std::string unescaped(const std::string& written);

}  // namespace lathe::cli
