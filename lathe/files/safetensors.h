#pragma once

#include <functional>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "lathe/base/mapped_file.h"
#include "lathe/files/element_type.h"

namespace lathe {

/// One tensor of a safetensors file; its bytes are little-endian and row-major.
struct TensorEntry {
  std::string name;
  const ElementType* type = nullptr;
  std::vector<int64_t> shape;
  int64_t offset = 0;  ///< of its first byte in the file
  int64_t bytes = 0;

  int64_t elements() const;
};

/// A safetensors file, memory-mapped; its header is checked in full when it is opened: sizes, types, overlaps and
/// bounds. (Format: Hugging Face safetensors, 8 bytes of header length, JSON, data.)
class SafetensorsFile {
 public:
  /// Throws Error naming the file and what is wrong with it.
  explicit SafetensorsFile(const std::string& path);

  const std::string& path() const { return file_.path(); }
  const std::vector<TensorEntry>& entries() const { return entries_; }  ///< in file order
  Bytes bytes(const TensorEntry& entry) const;
  /// Gives them away: entries() is empty then.
  std::vector<TensorEntry> take_entries() { return std::move(entries_); }
  const std::map<std::string, std::string>& metadata() const { return metadata_; }
  /// Drops the pages from this process; they come back when they are read again.
  void forget() const { file_.forget(0, file_.size()); }

 private:
  MappedFile file_;
  std::vector<TensorEntry> entries_;
  std::map<std::string, std::string> metadata_;
};

/// Parses a header (the JSON alone) of a file with `data_bytes` behind it. Offsets are relative to the data. Throws
/// Error with `path` in its message.
struct SafetensorsHeader {
  std::vector<TensorEntry> entries;
  std::map<std::string, std::string> metadata;
};
SafetensorsHeader parse_safetensors_header(std::string_view json, int64_t data_bytes, const std::string& path);

/// A tensor to write: `fill` gives the bytes, in pieces, when its turn comes.
struct TensorSource {
  std::string name;
  DType dtype = DType::f32;
  std::vector<int64_t> shape;
  std::function<void(const std::function<void(Bytes)>& write)> fill;
};

/// Writes `path` durably, tensors in the order given. Throws Error when the disk is full; the old file stays then.
void write_safetensors(const std::string& path, std::span<const TensorSource> tensors,
                       const std::map<std::string, std::string>& metadata = {});

/// Bytes that write_safetensors would write.
int64_t safetensors_bytes(std::span<const TensorSource> tensors,
                          const std::map<std::string, std::string>& metadata = {});

}  // namespace lathe
