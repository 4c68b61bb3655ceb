#pragma once

#include <string>

namespace lathe {

/// What this program was built as, and what it runs on.
struct BuildInfo {
  std::string version;     // "0.1.0"
  std::string compiler;    // "g++ 12.2.0"
  std::string build_type;  // "release" or "debug", and the sanitizer if any
};
BuildInfo build_info();

/// The text of --version: "lathe 0.1.0" and a line on build, instruction set and threads.
std::string version_text();

}  // namespace lathe
