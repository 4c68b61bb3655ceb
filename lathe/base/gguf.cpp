#include "lathe/base/gguf.h"

#include <algorithm>
#include <bit>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <numeric>
#include <optional>
#include <unordered_set>

#include "lathe/base/error.h"
#include "lathe/base/utf8.h"

namespace lathe {
namespace {

constexpr int64_t kLongestKey = 65535, kLongestName = 64, kMostExtents = 4, kLargestAlignment = 1 << 20;
constexpr int kDeepestArray = 8;
constexpr int64_t kLeastFieldBytes = 8 + 1 + 4 + 1, kLeastTensorBytes = 8 + 1 + 4 + 4 + 8;
static_assert(std::endian::native == std::endian::little, "values are copied as they lie in files");

/// Bytes of a value that is neither string nor array.
int64_t size_of_scalar(GgufType type) {
  switch (type) {
    case GgufType::u8:
    case GgufType::i8:
    case GgufType::boolean:
      return 1;
    case GgufType::u16:
    case GgufType::i16:
      return 2;
    case GgufType::u32:
    case GgufType::i32:
    case GgufType::f32:
      return 4;
    default:
      return 8;
  }
}

bool is_scalar(GgufType type) { return type != GgufType::string && type != GgufType::array; }

class HeaderReader {
 public:
  HeaderReader(Bytes file, const std::string& path) : file_(file), path_(path) {}

  GgufHeader read() {
    GgufHeader header{.version = 3, .alignment = 32, .fields = GgufFields(path_), .tensors = {}};
    header.version = read_version();
    uint64_t tensors = read_count("the number of tensors"), fields = read_count("the number of metadata keys");
    check_count(fields, kLeastFieldBytes, "metadata keys");
    header.fields.reserve(fields);
    for (uint64_t i = 0; i < fields; ++i) read_field(i, header.fields);
    header.alignment = alignment_of(header.fields);
    place_ = {"tensors"};
    check_count(tensors, kLeastTensorBytes, "tensors");
    header.tensors.reserve(tensors);
    for (uint64_t i = 0; i < tensors; ++i) header.tensors.push_back(read_tensor(i));
    lay_out(header);
    return header;
  }

 private:
  Bytes file_;
  const std::string& path_;
  size_t at_ = 0;
  /// What is being read, put together only where something is wrong with it: a file may have a million of them.
  struct Place {
    const char* kind = "header";
    std::string_view name = {};
    std::optional<uint64_t> number = {};
  } place_ = {};

  std::string place() const {
    if (place_.number) return text(place_.kind, ' ', *place_.number);
    const bool is_key = *place_.kind == '\0';
    if (is_key) return std::string(place_.name);
    return place_.name.empty() ? place_.kind : text(place_.kind, '"', place_.name, '"');
  }

  template <class... Parts>
  [[noreturn]] void fail(const Parts&... parts) const {
    throw Error(text(path_, ": ", place(), ": ", parts...));
  }

  int64_t left() const { return int64_t(file_.size() - at_); }

  Bytes take(uint64_t bytes, const char* what) {
    if (bytes > uint64_t(left()))
      fail(what, " needs ", bytes, " bytes where ", left(), " are left; the file is truncated or damaged");
    Bytes taken = file_.subspan(at_, size_t(bytes));
    at_ += size_t(bytes);
    return taken;
  }

  template <class T>
  T number(const char* what) {
    T value;
    std::memcpy(&value, take(sizeof(T), what).data(), sizeof(T));
    return value;
  }

  uint64_t read_count(const char* what) { return number<uint64_t>(what); }

  void check_count(uint64_t count, int64_t least_bytes, const char* what) const {
    if (count > uint64_t(left() / least_bytes))
      fail(count, " ", what, " cannot lie in the ", left(), " bytes that are left; the file is truncated or damaged");
  }

  int64_t read_version() {
    if (text_of(take(std::min<size_t>(4, file_.size()), "its mark")) != "GGUF")
      fail("no GGUF file: it does not begin with \"GGUF\"");
    auto version = number<uint32_t>("the version");
    if (version > 0xffff && (version & 0xffff) == 0)
      fail("a big-endian GGUF file, which is not read; convert it to little-endian");
    if (version != 2 && version != 3) fail("GGUF version ", version, " is not read; 2 and 3 are");
    return version;
  }

  std::string_view read_string(const char* what) {
    auto length = number<uint64_t>(what);
    return text_of(take(length, what));
  }

  GgufType read_type() {
    auto type = number<uint32_t>("the type");
    if (type > uint32_t(GgufType::f64)) fail("no type has the number ", type);
    return GgufType(type);
  }

  void read_field(uint64_t index, GgufFields& fields) {
    place_ = {.kind = "metadata key", .number = index};
    std::string_view key = read_string("the key");
    if (key.empty()) fail("the key is empty");
    if (int64_t(key.size()) > kLongestKey) fail("a key of ", key.size(), " bytes; ", kLongestKey, " are allowed");
    if (!valid_utf8(key)) fail("the key is not UTF-8");
    place_ = {.kind = "", .name = key};
    if (!fields.add(key, read_value(read_type(), 0))) fail("the key stands twice");
  }

  GgufValue read_value(GgufType type, int depth) {
    GgufValue value;
    value.type = type;
    if (type == GgufType::array) {
      read_array(value, depth);
    } else if (type == GgufType::string) {
      value.bytes = bytes_of(read_string("the text"));
    } else {
      value.bytes = take(uint64_t(size_of_scalar(type)), "the value");
      if (type == GgufType::boolean) check_booleans(value.bytes);
    }
    return value;
  }

  void read_array(GgufValue& value, int depth) {
    if (depth == kDeepestArray) fail("arrays are nested more than ", kDeepestArray, " deep");
    value.element = read_type();
    auto count = number<uint64_t>("the number of elements");
    int64_t least = is_scalar(value.element)            ? size_of_scalar(value.element)
                    : value.element == GgufType::string ? 8
                                                        : 12;
    check_count(count, least, "elements");
    value.count = int64_t(count);
    size_t first = at_;
    if (is_scalar(value.element)) {
      Bytes all = take(count * uint64_t(least), "the array");
      if (value.element == GgufType::boolean) check_booleans(all);
    } else {
      for (uint64_t i = 0; i < count; ++i) read_value(value.element, depth + 1);
    }
    value.bytes = file_.subspan(first, at_ - first);
  }

  void check_booleans(Bytes values) const {
    for (std::byte value : values)
      if (uint8_t(value) > 1) fail("a bool is ", int(value), "; it must be 0 or 1");
  }

  int64_t alignment_of(const GgufFields& fields) {
    place_ = {"general.alignment"};
    const GgufValue* value = fields.find("general.alignment");
    if (!value) return 32;
    if (value->type != GgufType::u32) fail("must be a u32, here it is a ", name_of(value->type));
    int64_t alignment = fields.integer("general.alignment");
    if (!std::has_single_bit(uint64_t(alignment)) || alignment > kLargestAlignment)
      fail(alignment, " is no power of two from 1 to ", kLargestAlignment);
    return alignment;
  }

  GgufTensor read_tensor(uint64_t index) {
    place_ = {.kind = "tensor", .number = index};
    GgufTensor tensor;
    const std::string_view name = read_string("the name");
    tensor.name = name;
    if (tensor.name.empty() || int64_t(tensor.name.size()) > kLongestName)
      fail("a name of ", tensor.name.size(), " bytes; it must have from 1 to ", kLongestName);
    if (!valid_utf8(tensor.name)) fail("the name is not UTF-8");
    place_ = {.kind = "tensor ", .name = name};
    auto extents = number<uint32_t>("the number of extents");
    if (extents > kMostExtents) fail(extents, " extents; ", kMostExtents, " are allowed");
    tensor.shape.reserve(extents);
    for (uint32_t i = 0; i < extents; ++i) tensor.shape.push_back(read_extent());
    std::reverse(tensor.shape.begin(), tensor.shape.end());
    auto type = number<uint32_t>("the type");
    const GgmlBlock* block = find_ggml_block(type);
    if (!block) fail("no tensor type has the number ", type);
    tensor.type = block->type;
    tensor.bytes = bytes_of_tensor(tensor, *block);
    auto offset = number<uint64_t>("the offset");
    if (offset > file_.size())
      fail("begins ", offset, " bytes into the data of a file of ", file_.size(), "; the file is truncated or damaged");
    tensor.offset = int64_t(offset);
    return tensor;
  }

  int64_t read_extent() {
    auto extent = number<uint64_t>("an extent");
    if (extent == 0 || extent > uint64_t(INT64_MAX))
      fail("an extent of ", extent, "; it must be from 1 to ", INT64_MAX);
    return int64_t(extent);
  }

  int64_t bytes_of_tensor(const GgufTensor& tensor, const GgmlBlock& block) const {
    int64_t elements = 1, bytes = 0;
    for (int64_t extent : tensor.shape)
      if (__builtin_mul_overflow(elements, extent, &elements)) fail("more than ", INT64_MAX, " elements");
    int64_t row = tensor.shape.empty() ? 1 : tensor.shape.back();
    if (row % block.elements != 0)
      fail("rows of ", row, " elements are no whole blocks of ", block.elements, " as ", block.name, " has them");
    if (__builtin_mul_overflow(elements / block.elements, block.bytes, &bytes)) fail("more than ", INT64_MAX, " bytes");
    return bytes;
  }

  /// Turns offsets within the data into offsets in the file, and checks them.
  void lay_out(GgufHeader& header) {
    int64_t size = int64_t(file_.size()),
            begin = (int64_t(at_) + header.alignment - 1) / header.alignment * header.alignment;
    std::unordered_set<std::string_view> names;
    names.reserve(header.tensors.size());
    for (GgufTensor& tensor : header.tensors) {
      place_ = {.kind = "tensor ", .name = tensor.name};
      if (!names.insert(tensor.name).second) fail("the name stands twice");
      if (tensor.offset % header.alignment != 0)
        fail("offset ", tensor.offset, " is no multiple of the alignment ", header.alignment);
      if (tensor.bytes > size || tensor.offset > size - begin || tensor.offset + begin > size - tensor.bytes)
        fail(tensor.bytes, " bytes at ", tensor.offset, " of the data, which begins at ", begin, ", in a file of ",
             size, "; the file is truncated or damaged");
      tensor.offset += begin;
    }
    std::vector<const GgufTensor*> order;
    order.reserve(header.tensors.size());
    for (const GgufTensor& tensor : header.tensors) order.push_back(&tensor);
    const auto before = [](auto* a, auto* b) { return a->offset < b->offset; };
    if (!std::is_sorted(order.begin(), order.end(), before)) std::sort(order.begin(), order.end(), before);
    for (size_t i = 1; i < order.size(); ++i) {
      place_ = {.kind = "tensor ", .name = order[i]->name};
      if (order[i]->offset < order[i - 1]->offset + order[i - 1]->bytes)
        fail("overlaps tensor \"", order[i - 1]->name, "\"");
    }
  }
};

}  // namespace

int64_t GgufTensor::elements() const {
  return std::accumulate(shape.begin(), shape.end(), int64_t{1}, std::multiplies<>());
}

GgufHeader parse_gguf(Bytes file, const std::string& path) { return HeaderReader(file, path).read(); }

std::string path_of_gguf_part(const std::string& path, int64_t known, int64_t number, int64_t count) {
  const auto ending = [count](int64_t part) {
    char text[64];
    std::snprintf(text, sizeof text, "-%05d-of-%05d.gguf", int(part), int(count));
    return std::string(text);
  };
  if (!path.ends_with(ending(known))) return "";
  return path.substr(0, path.size() - ending(known).size()) + ending(number);
}

namespace {

constexpr int64_t kMostParts = 9999;

std::vector<MappedFile> one_file(const std::string& path) {
  std::vector<MappedFile> files;
  files.emplace_back(path);
  return files;
}

/// How many parts the model has whose first file this is.
int64_t parts_of(const GgufFields& fields) {
  const std::string& path = fields.file();
  int64_t count = fields.integer("split.count", 1), number = fields.integer("split.no", 0) + 1;
  if (count <= 1) return 1;
  require(count <= kMostParts && number >= 1 && number <= count, path, ": split.no ", number - 1, " of split.count ",
          count, " is no part of at most ", kMostParts);
  std::string first = path_of_gguf_part(path, number, 1, count);
  require(!first.empty(), path, ": part ", number, " of ", count,
          " must have the name that the splitter gave it, with an "
          "ending like -00001-of-00003.gguf, so that the others are found beside it");
  require(number == 1, path, ": part ", number, " of ", count, " of a model; name the first, ", first);
  return count;
}

}  // namespace

GgufFile::GgufFile(const std::string& path)
    : files_(one_file(path)), header_(parse_gguf(files_.front().bytes(), path)) {
  int64_t parts = parts_of(header_.fields);
  for (int64_t number = 2; number <= parts; ++number)
    add_part(path_of_gguf_part(path, 1, number, parts), number, parts);
  by_name_.reserve(header_.tensors.size());
  for (size_t i = 0; i < header_.tensors.size(); ++i) {
    const GgufTensor& tensor = header_.tensors[i];
    require(by_name_.emplace(tensor.name, i).second, this->path(tensor), ": tensor \"", tensor.name,
            "\" stands in another part too");
  }
  auto count = int64_t(header_.tensors.size());
  int64_t told = header_.fields.integer("split.tensors.count", count);
  require(parts == 1 || told == count, path, ": split.tensors.count is ", told, " but the ", parts, " parts have ",
          count, " tensors");
}

void GgufFile::add_part(const std::string& path, int64_t number, int64_t count) {
  files_.emplace_back(path);
  GgufHeader part = parse_gguf(files_.back().bytes(), path);
  int64_t its_number = part.fields.integer("split.no", -1) + 1, its_count = part.fields.integer("split.count", 1);
  require(its_number == number && its_count == count, path, ": says it is part ", its_number, " of ", its_count, "; ",
          files_.front().path(), " needs part ", number, " of ", count, " there");
  for (GgufTensor& tensor : part.tensors) {
    tensor.part = files_.size() - 1;
    header_.tensors.push_back(std::move(tensor));
  }
}

const GgufTensor* GgufFile::find(std::string_view name) const {
  auto found = by_name_.find(name);
  return found == by_name_.end() ? nullptr : &header_.tensors[found->second];
}

Bytes GgufFile::bytes(const GgufTensor& tensor) const {
  return files_[tensor.part].bytes().subspan(size_t(tensor.offset), size_t(tensor.bytes));
}

void GgufFile::forget() const {
  for (const MappedFile& file : files_) file.forget(0, file.size());
}

bool is_gguf(const std::string& path) {
  char mark[4] = {};
  std::ifstream file(path, std::ios::binary);
  return file.read(mark, 4) && std::string_view(mark, 4) == "GGUF";
}

}  // namespace lathe
