#pragma once

#include <string>
#include <string_view>
#include <unordered_map>

#include "lathe/base/bytes.h"

namespace lathe {

/// The files in a ZIP archive of stored (not compressed) entries, as PyTorch writes it: views of the archive's bytes,
/// which must outlive it. Throws Error naming `path` and what is broken, compressed, encrypted, twice or outside.
/// (Format: PKWARE's APPNOTE, with its 64-bit fields.)
class ZipArchive {
 public:
  ZipArchive(Bytes archive, const std::string& path);
  /// Null: there is no such file.
  const Bytes* find(const std::string& name) const;
  const std::unordered_map<std::string, Bytes>& files() const { return files_; }

 private:
  std::unordered_map<std::string, Bytes> files_;
};

}  // namespace lathe
