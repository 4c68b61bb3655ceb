#pragma once

#include <cstdint>
#include <map>
#include <string>

namespace lathe {

/// What a checkpoint's directory holds: sizes and checksums of all its files, and its own.
struct Manifest {
  static constexpr int kFormat = 1;
  static constexpr const char* kFile = "manifest.json";
  struct File {
    int64_t bytes = 0;
    std::string checksum;  ///< XXH3, 16 hex digits
  };

  int64_t step = 0;  ///< updates that its weights have seen
  std::map<std::string, File> files;
};

/// Reads all files of `directory` and writes its manifest, durably.
void write_manifest(const std::string& directory, int64_t step);

/// Throws Error naming the file when the manifest is missing, of a newer format, or changed.
Manifest read_manifest(const std::string& directory);

/// Reads everything. Throws Error naming the first file that is missing or changed, with both checksums.
void verify_manifest(const std::string& directory);

}  // namespace lathe
