#pragma once

#include <functional>
#include <span>
#include <string>
#include <vector>

#include "lathe/base/gguf.h"

namespace lathe {

/// The metadata of a GGUF file to write, in the order in which keys were first set. Setting a key again replaces it.
class GgufMetadata {
 public:
  void set_u32(const std::string& key, int64_t value);  ///< throws Error when it does not fit
  void set_u64(const std::string& key, uint64_t value);
  void set_f32(const std::string& key, double value);
  void set_bool(const std::string& key, bool value);
  void set_string(const std::string& key, std::string_view value);
  void set_strings(const std::string& key, std::span<const std::string> values);
  void set_f32s(const std::string& key, std::span<const float> values);
  void set_i32s(const std::string& key, std::span<const int32_t> values);
  void set(const std::string& key, const GgufValue& value);  ///< as another file has it

  bool has(const std::string& key) const;
  void erase(const std::string& key);
  int64_t fields() const { return int64_t(fields_.size()); }
  std::string bytes() const;  ///< as they lie in a file
  /// What a reader of such a file finds. It has views of this object, which must neither change nor go away.
  GgufFields read(const std::string& file) const;

 private:
  struct Field {
    std::string key;
    std::string value;  ///< its type and its bytes
  };
  std::vector<Field> fields_;
  void set_bytes(const std::string& key, std::string value);
};

/// A tensor to write: `fill` gives its bytes, in pieces, when its turn comes.
struct GgufTensorSource {
  std::string name;
  GgmlType type = GgmlType::f32;
  std::vector<int64_t> shape;  ///< row-major, as in GgufTensor
  std::function<void(const std::function<void(Bytes)>& write)> fill;

  int64_t bytes() const;
};

/// Writes `path` durably as GGUF version 3, tensors in the order given, each at a multiple of 32 bytes. Throws Error
/// naming a tensor whose name or shape a file cannot hold, or when the disk is full; the old file stays then.
void write_gguf(const std::string& path, const GgufMetadata& metadata, std::span<const GgufTensorSource> tensors);

/// Bytes that write_gguf would write.
int64_t gguf_bytes(const GgufMetadata& metadata, std::span<const GgufTensorSource> tensors);

}  // namespace lathe
