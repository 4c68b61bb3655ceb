#include "lathe/base/gguf_writer.h"

#include <algorithm>
#include <cstring>

#include "lathe/base/durable_file.h"
#include "lathe/base/error.h"

namespace lathe {
namespace {

constexpr int64_t kAlignment = 32, kLongestName = 63, kMostExtents = 4;

template <class T>
void append(std::string& to, T value) {
  to.append(reinterpret_cast<const char*>(&value), sizeof(T));
}

void append_string(std::string& to, std::string_view value) {
  append(to, uint64_t(value.size()));
  to += value;
}

template <class T>
std::string scalar(GgufType type, T value) {
  std::string bytes;
  append(bytes, uint32_t(type));
  append(bytes, value);
  return bytes;
}

std::string array_start(GgufType element, size_t count) {
  std::string bytes;
  append(bytes, uint32_t(GgufType::array));
  append(bytes, uint32_t(element));
  append(bytes, uint64_t(count));
  return bytes;
}

template <class T>
std::string array(GgufType element, std::span<const T> values) {
  std::string bytes = array_start(element, values.size());
  return bytes += text_of(std::as_bytes(values));
}

int64_t aligned(int64_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

std::string start_of(int64_t fields, size_t tensors) {
  std::string bytes = "GGUF";
  append(bytes, uint32_t{3});
  append(bytes, uint64_t(tensors));
  append(bytes, uint64_t(fields));
  return bytes;
}

void check(const GgufTensorSource& tensor) {
  require(!tensor.name.empty() && int64_t(tensor.name.size()) <= kLongestName, "tensor \"", tensor.name,
          "\": GGUF files have names of 1 to ", kLongestName, " bytes, this one has ", tensor.name.size());
  require(int64_t(tensor.shape.size()) <= kMostExtents, "tensor \"", tensor.name, "\": GGUF files have up to ",
          kMostExtents, " extents, this one has ", tensor.shape.size());
  const GgmlBlock& block = ggml_block(tensor.type);
  int64_t row = tensor.shape.empty() ? 1 : tensor.shape.back();
  require(row % block.elements == 0, "tensor \"", tensor.name, "\": rows of ", row, " elements are no whole blocks of ",
          block.elements, " as ", block.name, " has them");
}

/// All that stands before the data.
std::string header_of(const GgufMetadata& metadata, std::span<const GgufTensorSource> tensors) {
  std::string bytes = start_of(metadata.fields(), tensors.size()) + metadata.bytes();
  int64_t offset = 0;
  for (const GgufTensorSource& tensor : tensors) {
    check(tensor);
    append_string(bytes, tensor.name);
    append(bytes, uint32_t(tensor.shape.size()));
    for (size_t i = tensor.shape.size(); i-- > 0;) append(bytes, uint64_t(tensor.shape[i]));
    append(bytes, uint32_t(tensor.type));
    append(bytes, uint64_t(offset));
    offset = aligned(offset + tensor.bytes());
  }
  bytes.resize(size_t(aligned(int64_t(bytes.size()))), '\0');
  return bytes;
}

}  // namespace

void GgufMetadata::set_bytes(const std::string& key, std::string value) {
  auto found = std::find_if(fields_.begin(), fields_.end(), [&](const Field& field) { return field.key == key; });
  if (found == fields_.end())
    fields_.push_back({key, std::move(value)});
  else
    found->value = std::move(value);
}

void GgufMetadata::set_u32(const std::string& key, int64_t value) {
  require(value >= 0 && value <= int64_t(UINT32_MAX), key, ": ", value, " does not fit a GGUF file, which holds 0 to ",
          UINT32_MAX);
  set_bytes(key, scalar(GgufType::u32, uint32_t(value)));
}

void GgufMetadata::set_u64(const std::string& key, uint64_t value) { set_bytes(key, scalar(GgufType::u64, value)); }
void GgufMetadata::set_f32(const std::string& key, double value) {
  set_bytes(key, scalar(GgufType::f32, float(value)));
}
void GgufMetadata::set_bool(const std::string& key, bool value) {
  set_bytes(key, scalar(GgufType::boolean, uint8_t(value)));
}

void GgufMetadata::set_string(const std::string& key, std::string_view value) {
  std::string bytes;
  append(bytes, uint32_t(GgufType::string));
  append_string(bytes, value);
  set_bytes(key, std::move(bytes));
}

void GgufMetadata::set_strings(const std::string& key, std::span<const std::string> values) {
  std::string bytes = array_start(GgufType::string, values.size());
  for (const std::string& value : values) append_string(bytes, value);
  set_bytes(key, std::move(bytes));
}

void GgufMetadata::set_f32s(const std::string& key, std::span<const float> values) {
  set_bytes(key, array(GgufType::f32, values));
}

void GgufMetadata::set_i32s(const std::string& key, std::span<const int32_t> values) {
  set_bytes(key, array(GgufType::i32, values));
}

void GgufMetadata::set(const std::string& key, const GgufValue& value) {
  if (value.type == GgufType::string) return set_string(key, text_of(value.bytes));
  std::string bytes;
  if (value.type == GgufType::array)
    bytes = array_start(value.element, size_t(value.count));
  else
    append(bytes, uint32_t(value.type));
  bytes += text_of(value.bytes);
  set_bytes(key, std::move(bytes));
}

bool GgufMetadata::has(const std::string& key) const {
  return std::any_of(fields_.begin(), fields_.end(), [&](const Field& field) { return field.key == key; });
}

void GgufMetadata::erase(const std::string& key) {
  std::erase_if(fields_, [&](const Field& field) { return field.key == key; });
}

std::string GgufMetadata::bytes() const {
  std::string all;
  for (const Field& field : fields_) {
    append_string(all, field.key);
    all += field.value;
  }
  return all;
}

GgufFields GgufMetadata::read(const std::string& file) const {
  GgufFields fields(file);
  for (const auto& [key, value] : fields_) {
    GgufValue view;
    std::memcpy(&view.type, value.data(), sizeof view.type);
    Bytes rest = bytes_of(value).subspan(4);
    if (view.type == GgufType::array) {
      std::memcpy(&view.element, rest.data(), sizeof view.element);
      std::memcpy(&view.count, rest.data() + 4, sizeof view.count);
    }
    view.bytes = rest.subspan(view.type == GgufType::array ? 12 : view.type == GgufType::string ? 8 : 0);
    fields.add(key, view);
  }
  return fields;
}

int64_t GgufTensorSource::bytes() const {
  int64_t elements = 1;
  for (int64_t extent : shape) elements *= extent;
  const GgmlBlock& block = ggml_block(type);
  return elements / block.elements * block.bytes;
}

int64_t gguf_bytes(const GgufMetadata& metadata, std::span<const GgufTensorSource> tensors) {
  auto bytes = int64_t(header_of(metadata, tensors).size());
  for (const GgufTensorSource& tensor : tensors) bytes += aligned(tensor.bytes());
  return bytes;
}

void write_gguf(const std::string& path, const GgufMetadata& metadata, std::span<const GgufTensorSource> tensors) {
  std::string header = header_of(metadata, tensors);
  DurableFile file(path);
  file.write(header);
  const std::string padding(kAlignment, '\0');
  for (const GgufTensorSource& tensor : tensors) {
    int64_t before = file.size();
    tensor.fill([&](Bytes bytes) { file.write(bytes); });
    if (file.size() - before != tensor.bytes())
      throw InternalError(
          text(path, ": tensor ", tensor.name, " wrote ", file.size() - before, " of ", tensor.bytes(), " bytes"));
    file.write(std::string_view(padding).substr(0, size_t(aligned(file.size()) - file.size())));
  }
  file.commit();
}

}  // namespace lathe
