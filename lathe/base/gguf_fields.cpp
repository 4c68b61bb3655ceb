#include <cstring>

#include "lathe/base/error.h"
#include "lathe/base/gguf.h"

namespace lathe {
namespace {

template <class T>
T loaded(const std::byte* from) {
  T value;
  std::memcpy(&value, from, sizeof(T));
  return value;
}

/// A number of scalar type `type` at `from`; nothing where it is none, or for integers one that int64_t does not hold.
std::optional<int64_t> integer_at(GgufType type, const std::byte* from) {
  switch (type) {
    case GgufType::u8:
      return loaded<uint8_t>(from);
    case GgufType::i8:
      return loaded<int8_t>(from);
    case GgufType::u16:
      return loaded<uint16_t>(from);
    case GgufType::i16:
      return loaded<int16_t>(from);
    case GgufType::u32:
      return loaded<uint32_t>(from);
    case GgufType::i32:
      return loaded<int32_t>(from);
    case GgufType::i64:
      return loaded<int64_t>(from);
    case GgufType::u64:
      if (auto value = loaded<uint64_t>(from); value <= uint64_t(INT64_MAX)) return int64_t(value);
      return std::nullopt;
    default:
      return std::nullopt;
  }
}

std::optional<double> number_at(GgufType type, const std::byte* from) {
  if (type == GgufType::f32) return loaded<float>(from);
  if (type == GgufType::f64) return loaded<double>(from);
  if (std::optional<int64_t> whole = integer_at(type, from)) return double(*whole);
  return std::nullopt;
}

bool of_scalars(const GgufValue& array) {
  return array.element != GgufType::string && array.element != GgufType::array;
}

}  // namespace

const char* name_of(GgufType type) {
  constexpr const char* names[] = {"u8",   "i8",     "u16",   "i16", "u32", "i32", "f32",
                                   "bool", "string", "array", "u64", "i64", "f64"};
  return names[size_t(type)];
}

void GgufFields::reserve(size_t fields) {
  all_.reserve(fields);
  by_key_.reserve(fields);
}

bool GgufFields::add(std::string_view key, const GgufValue& value) {
  if (!by_key_.emplace(key, all_.size()).second) return false;
  all_.push_back({key, value});
  return true;
}

const GgufValue* GgufFields::find(std::string_view key) const {
  auto found = by_key_.find(key);
  return found == by_key_.end() ? nullptr : &all_[found->second].value;
}

std::string GgufFields::place(std::string_view key) const { return text(file_, ": ", key); }

const GgufValue& GgufFields::at(std::string_view key) const {
  const GgufValue* value = find(key);
  require(value != nullptr, place(key), " is missing");
  return *value;
}

const GgufValue& GgufFields::array_at(std::string_view key, const char* wanted) const {
  const GgufValue& value = at(key);
  if (value.type != GgufType::array) wrong(key, value, wanted);
  return value;
}

void GgufFields::wrong(std::string_view key, const GgufValue& found, const char* wanted) const {
  bool array = found.type == GgufType::array;
  throw Error(text(place(key), " must be ", wanted, ", here it is ", array ? "an array of " : "a ",
                   name_of(array ? found.element : found.type)));
}

int64_t GgufFields::integer(std::string_view key) const {
  const GgufValue& value = at(key);
  std::optional<int64_t> whole = integer_at(value.type, value.bytes.data());
  if (!whole) wrong(key, value, "a whole number");
  return *whole;
}

int64_t GgufFields::integer(std::string_view key, int64_t fallback) const { return has(key) ? integer(key) : fallback; }

double GgufFields::number(std::string_view key) const {
  const GgufValue& value = at(key);
  std::optional<double> number = number_at(value.type, value.bytes.data());
  if (!number) wrong(key, value, "a number");
  return *number;
}

double GgufFields::number(std::string_view key, double fallback) const { return has(key) ? number(key) : fallback; }

bool GgufFields::boolean(std::string_view key) const {
  const GgufValue& value = at(key);
  if (value.type != GgufType::boolean) wrong(key, value, "a bool");
  return loaded<uint8_t>(value.bytes.data()) != 0;
}

bool GgufFields::boolean(std::string_view key, bool fallback) const { return has(key) ? boolean(key) : fallback; }

std::string GgufFields::string(std::string_view key) const {
  const GgufValue& value = at(key);
  if (value.type != GgufType::string) wrong(key, value, "a string");
  return std::string(text_of(value.bytes));
}

std::string GgufFields::string(std::string_view key, std::string_view fallback) const {
  return has(key) ? string(key) : std::string(fallback);
}

std::vector<int64_t> GgufFields::integers(std::string_view key) const {
  const GgufValue& value = array_at(key, "an array of whole numbers");
  std::vector<int64_t> all;
  if (!of_scalars(value)) wrong(key, value, "an array of whole numbers");
  all.reserve(size_t(value.count));
  for (int64_t i = 0; i < value.count; ++i) {
    auto whole = integer_at(value.element, value.bytes.data() + i * int64_t(value.bytes.size()) / value.count);
    if (!whole) wrong(key, value, "an array of whole numbers");
    all.push_back(*whole);
  }
  return all;
}

std::vector<float> GgufFields::numbers(std::string_view key) const {
  const GgufValue& value = array_at(key, "an array of numbers");
  std::vector<float> all;
  if (!of_scalars(value)) wrong(key, value, "an array of numbers");
  all.reserve(size_t(value.count));
  for (int64_t i = 0; i < value.count; ++i) {
    auto number = number_at(value.element, value.bytes.data() + i * int64_t(value.bytes.size()) / value.count);
    if (!number) wrong(key, value, "an array of numbers");
    all.push_back(float(*number));
  }
  return all;
}

std::vector<std::string_view> GgufFields::strings(std::string_view key) const {
  const GgufValue& value = array_at(key, "an array of strings");
  if (value.element != GgufType::string) wrong(key, value, "an array of strings");
  std::vector<std::string_view> all;
  all.reserve(size_t(value.count));
  std::string_view left = text_of(value.bytes);
  for (int64_t i = 0; i < value.count; ++i) {
    auto length = size_t(loaded<uint64_t>(bytes_of(left).data()));
    all.push_back(left.substr(8, length));
    left.remove_prefix(8 + length);
  }
  return all;
}

}  // namespace lathe
