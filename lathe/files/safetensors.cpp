#include "lathe/files/safetensors.h"

#include <simdjson.h>
#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>
#include <optional>

#include "lathe/base/durable_file.h"
#include "lathe/base/error.h"

namespace lathe {
namespace {

constexpr int64_t kLargestHeader = 100'000'000;  // as the reference implementation

/// Elements of `shape`; -1 when they overflow.
int64_t count_elements(const std::vector<int64_t>& shape) {
  int64_t elements = 1;
  for (int64_t extent : shape)
    if (extent < 0 || __builtin_mul_overflow(elements, extent, &elements)) return -1;
  return elements;
}

class HeaderReader {
 public:
  HeaderReader(int64_t data_bytes, const std::string& path) : data_bytes_(data_bytes), path_(path) {}

  SafetensorsHeader read(std::string_view json) {
    simdjson::dom::parser parser;
    simdjson::dom::element root;
    simdjson::padded_string padded(json);
    auto error = parser.parse(padded).get(root);
    require(!error, path_, ": header is no valid JSON: ", simdjson::error_message(error));
    require(root.is_object(), path_, ": header is no JSON object");
    std::vector<std::string_view> names;
    names.reserve(simdjson::dom::object(root).size());
    header_.entries.reserve(names.capacity());
    for (auto [key, value] : simdjson::dom::object(root)) {
      names.push_back(key);
      if (key == "__metadata__")
        read_metadata(value);
      else
        header_.entries.push_back(read_entry(key, value));
    }
    check_names(names);
    check_layout();
    return std::move(header_);
  }

 private:
  int64_t data_bytes_;
  const std::string& path_;
  SafetensorsHeader header_;

  /// By hash and sorting: a million names in a table of their own would take longer than all else.
  void check_names(std::span<const std::string_view> names) const {
    std::vector<std::pair<size_t, std::string_view>> hashed;
    hashed.reserve(names.size());
    for (std::string_view name : names) hashed.emplace_back(std::hash<std::string_view>()(name), name);
    std::sort(hashed.begin(), hashed.end());
    auto twice = std::adjacent_find(hashed.begin(), hashed.end());
    require(twice == hashed.end(), path_, ": tensor \"", twice == hashed.end() ? "" : twice->second,
            "\" appears twice");
  }

  void read_metadata(simdjson::dom::element value) {
    require(value.is_object(), path_, ": __metadata__ is no object");
    for (auto [key, item] : simdjson::dom::object(value)) {
      std::string_view string;
      require(!item.get(string), path_, ": metadata \"", key, "\" is no string");
      header_.metadata.emplace(key, string);
    }
  }

  TensorEntry read_entry(std::string_view name, simdjson::dom::element value) {
    TensorEntry entry;
    entry.name = name;
    std::string_view dtype;
    simdjson::dom::array shape, offsets;
    require(value.is_object() && !value["dtype"].get(dtype) && !value["shape"].get(shape) &&
                !value["data_offsets"].get(offsets) && offsets.size() == 2,
            path_, ": tensor \"", name, "\" lacks dtype, shape or a pair of data_offsets");
    entry.type = find_element_type(dtype);
    if (!entry.type)  // not require(), which would make the list each time
      throw Error(text(path_, ": tensor \"", name, "\" has type ", dtype, "; known are ", element_type_names()));
    entry.shape.reserve(shape.size());
    for (simdjson::dom::element extent : shape) entry.shape.push_back(number(name, extent));
    entry.offset = number(name, offsets.at(0));
    entry.bytes = number(name, offsets.at(1)) - entry.offset;
    check_size(entry);
    return entry;
  }

  int64_t number(std::string_view name, simdjson::dom::element value) const {
    int64_t number = -1;
    require(!value.get(number) && number >= 0, path_, ": tensor \"", name,
            "\" has a size or offset that is no whole number");
    return number;
  }

  void check_size(const TensorEntry& entry) const {
    std::optional<int64_t> bytes = entry.type->bytes_of(count_elements(entry.shape));
    require(bytes.has_value(), path_, ": tensor \"", entry.name,
            "\" needs more bytes for its shape than there can be, "
            "or no whole number of them");
    require(bytes == entry.bytes, path_, ": tensor \"", entry.name, "\" needs ", *bytes,
            " bytes for its shape but has ", entry.bytes);
    require(entry.offset + entry.bytes <= data_bytes_, path_, ": tensor \"", entry.name, "\" ends at byte ",
            entry.offset + entry.bytes, " of ", data_bytes_, "; the file is truncated");
  }

  void check_layout() {
    auto& entries = header_.entries;
    const auto before = [](auto& a, auto& b) { return std::pair(a.offset, a.bytes) < std::pair(b.offset, b.bytes); };
    if (!std::is_sorted(entries.begin(), entries.end(), before))
      std::stable_sort(entries.begin(), entries.end(), before);
    int64_t end = 0;
    for (const TensorEntry& entry : entries) {
      require(entry.offset >= end, path_, ": tensor \"", entry.name, "\" overlaps the one before it");
      require(entry.offset == end, path_, ": ", entry.offset - end, " bytes before tensor \"", entry.name,
              "\" belong to none");
      end = entry.offset + entry.bytes;
    }
    require(end == data_bytes_, path_, ": ", data_bytes_ - end, " bytes after the last tensor belong to none");
  }
};

std::string header_of(std::span<const TensorSource> tensors, const std::map<std::string, std::string>& metadata) {
  nlohmann::ordered_json json = nlohmann::ordered_json::object();
  if (!metadata.empty()) json["__metadata__"] = metadata;
  int64_t offset = 0;
  for (const TensorSource& tensor : tensors) {
    int64_t bytes = count_elements(tensor.shape) * size_of(tensor.dtype);
    json[tensor.name] = {{"dtype", element_type(tensor.dtype).name},
                         {"shape", tensor.shape},
                         {"data_offsets", {offset, offset + bytes}}};
    offset += bytes;
  }
  std::string header = json.dump();
  header.resize((header.size() + 7) / 8 * 8, ' ');  // data begins at a multiple of 8
  return header;
}

}  // namespace

int64_t TensorEntry::elements() const { return count_elements(shape); }

SafetensorsHeader parse_safetensors_header(std::string_view json, int64_t data_bytes, const std::string& path) {
  return HeaderReader(data_bytes, path).read(json);
}

SafetensorsFile::SafetensorsFile(const std::string& path) : file_(path) {
  uint64_t length = 0;
  require(file_.size() >= 8, path, ": ", file_.size(), " bytes are no safetensors file");
  std::memcpy(&length, file_.data(), 8);
  require(length <= uint64_t(kLargestHeader), path, ": header of ", length, " bytes is larger than ", kLargestHeader);
  require(int64_t(length) + 8 <= file_.size(), path, ": header of ", length, " bytes in a file of ", file_.size());
  int64_t data = 8 + int64_t(length);
  SafetensorsHeader header = parse_safetensors_header(file_.view().substr(8, length), file_.size() - data, path);
  entries_ = std::move(header.entries);
  metadata_ = std::move(header.metadata);
  for (TensorEntry& entry : entries_) entry.offset += data;
}

Bytes SafetensorsFile::bytes(const TensorEntry& entry) const {
  return file_.bytes().subspan(size_t(entry.offset), size_t(entry.bytes));
}

int64_t safetensors_bytes(std::span<const TensorSource> tensors, const std::map<std::string, std::string>& metadata) {
  int64_t bytes = 8 + int64_t(header_of(tensors, metadata).size());
  for (const TensorSource& tensor : tensors) bytes += count_elements(tensor.shape) * size_of(tensor.dtype);
  return bytes;
}

void write_safetensors(const std::string& path, std::span<const TensorSource> tensors,
                       const std::map<std::string, std::string>& metadata) {
  std::string header = header_of(tensors, metadata);
  uint64_t length = header.size();
  DurableFile file(path);
  file.write(Bytes(reinterpret_cast<const std::byte*>(&length), 8));
  file.write(header);
  for (const TensorSource& tensor : tensors) {
    int64_t wanted = count_elements(tensor.shape) * size_of(tensor.dtype), before = file.size();
    tensor.fill([&](Bytes bytes) { file.write(bytes); });
    if (file.size() - before != wanted)
      throw InternalError(
          text(path, ": tensor ", tensor.name, " wrote ", file.size() - before, " of ", wanted, " bytes"));
  }
  file.commit();
}

}  // namespace lathe
