#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "lathe/base/ggml_type.h"
#include "lathe/base/mapped_file.h"

namespace lathe {

/// Types of metadata values, numbered as in files.
enum class GgufType : uint32_t { u8, i8, u16, i16, u32, i32, f32, boolean, string, array, u64, i64, f64 };
const char* name_of(GgufType type);  ///< "u8", ..., "bool", "string", "array"

/// A metadata value as it lies in the file, which must outlive it: a scalar's bytes, the text of a string, or the
/// elements of an array one after another (strings and arrays with their lengths before them).
struct GgufValue {
  GgufType type = GgufType::u8;
  GgufType element = GgufType::u8;  ///< of an array
  int64_t count = 1;                ///< of an array
  Bytes bytes;
};

/// The metadata of a file, checked. Each access throws Error naming the file and the key ("m.gguf: llama.block_count
/// must be a whole number, here it is a string") when it is missing or of another type; with a `fallback`, missing is
/// that. Whole numbers may have any integer type that holds them.
class GgufFields {
 public:
  explicit GgufFields(std::string file) : file_(std::move(file)) {}

  bool has(std::string_view key) const { return find(key) != nullptr; }
  const GgufValue* find(std::string_view key) const;  ///< null: no such key
  int64_t integer(std::string_view key) const;
  int64_t integer(std::string_view key, int64_t fallback) const;
  double number(std::string_view key) const;  ///< floating or whole
  double number(std::string_view key, double fallback) const;
  bool boolean(std::string_view key) const;
  bool boolean(std::string_view key, bool fallback) const;
  std::string string(std::string_view key) const;
  std::string string(std::string_view key, std::string_view fallback) const;
  std::vector<int64_t> integers(std::string_view key) const;
  std::vector<float> numbers(std::string_view key) const;
  std::vector<std::string_view> strings(std::string_view key) const;  ///< views of the file; any bytes

  struct Field {
    std::string_view key;
    GgufValue value;
  };
  const std::vector<Field>& all() const { return all_; }  ///< in file order
  const std::string& file() const { return file_; }
  /// "m.gguf: llama.block_count", to begin a message of your own.
  std::string place(std::string_view key) const;

  void reserve(size_t fields);
  /// False: there is one of that key.
  bool add(std::string_view key, const GgufValue& value);

 private:
  std::string file_;
  std::vector<Field> all_;
  std::unordered_map<std::string_view, size_t> by_key_;

  const GgufValue& at(std::string_view key) const;
  const GgufValue& array_at(std::string_view key, const char* wanted) const;
  [[noreturn]] void wrong(std::string_view key, const GgufValue& found, const char* wanted) const;
};

struct GgufTensor {
  std::string name;
  GgmlType type = GgmlType::f32;
  std::vector<int64_t> shape;  ///< row-major: the last extent is contiguous (files list it first)
  int64_t offset = 0;          ///< of its first byte in the file
  int64_t bytes = 0;
  size_t part = 0;  ///< of a model in several files: which one

  int64_t elements() const;
};

struct GgufHeader {
  int64_t version = 3;
  int64_t alignment = 32;
  GgufFields fields;
  std::vector<GgufTensor> tensors;  ///< in file order
};

/// Reads the header of a GGUF file of version 2 or 3, all of whose bytes are `file`, which must outlive what is
/// returned. Everything in it is checked: lengths and counts against the bytes that are there before anything is taken
/// for them, types, alignment, keys and names that stand twice, tensors that overlap or end outside. Throws Error
/// naming `path` and the field. Takes memory in proportion to the header's bytes.
/// (Format: ggml's docs/gguf.md.)
GgufHeader parse_gguf(Bytes file, const std::string& path);

/// A GGUF file, memory-mapped and checked; or a model that llama.cpp's splitter cut into several, which the path of the
/// first, m-00001-of-00003.gguf, stands for: it has all metadata, and the others lie beside it. Any thread may read.
class GgufFile {
 public:
  /// Throws Error as parse_gguf() does, and naming both files when parts do not belong together or one is missing.
  explicit GgufFile(const std::string& path);

  const std::string& path() const { return files_.front().path(); }
  const std::string& path(const GgufTensor& tensor) const { return files_[tensor.part].path(); }
  const GgufFields& fields() const { return header_.fields; }
  const std::vector<GgufTensor>& tensors() const { return header_.tensors; }
  const GgufTensor* find(std::string_view name) const;  ///< null: no such tensor
  Bytes bytes(const GgufTensor& tensor) const;
  /// Drops the pages from this process; they come back when they are read again.
  void forget() const;

 private:
  std::vector<MappedFile> files_;
  GgufHeader header_;                                     ///< of the first, with the tensors of all
  std::unordered_map<std::string_view, size_t> by_name_;  ///< views of the tensors' names

  void add_part(const std::string& path, int64_t number, int64_t count);
};

/// Where part `number`, from 1 on, of `count` lies when part `known` is `path`; empty where the splitter would have
/// called that otherwise.
std::string path_of_gguf_part(const std::string& path, int64_t known, int64_t number, int64_t count);

/// Whether the file `path` begins as a GGUF file does; false where there is none.
bool is_gguf(const std::string& path);

}  // namespace lathe
