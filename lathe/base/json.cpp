#include "lathe/base/json.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "lathe/base/error.h"
#include "lathe/base/text_input.h"
#include "lathe/base/utf8.h"

namespace lathe {
namespace {

using Json = nlohmann::json;

/// Builds the value while it is parsed, so that limits stop it before the memory is spent.
template <class AnyJson>
class Builder : public nlohmann::json_sax<AnyJson> {
 public:
  using typename nlohmann::json_sax<AnyJson>::number_integer_t;
  using typename nlohmann::json_sax<AnyJson>::number_unsigned_t;
  using typename nlohmann::json_sax<AnyJson>::number_float_t;
  using typename nlohmann::json_sax<AnyJson>::string_t;
  using typename nlohmann::json_sax<AnyJson>::binary_t;

  Builder(std::string_view text, const std::string& file, const JsonLimits& limits)
      : text_(text), file_(file), limits_(limits) {}

  AnyJson take() { return std::move(root_); }

  bool null() override { return add(nullptr); }
  bool boolean(bool value) override { return add(value); }
  bool number_integer(number_integer_t value) override { return add(value); }
  bool number_unsigned(number_unsigned_t value) override { return add(value); }
  bool number_float(number_float_t value, const string_t&) override { return add(value); }
  bool string(string_t& value) override { return add(std::move(value)); }
  bool binary(binary_t&) override { return false; }
  bool start_object(size_t) override { return open(AnyJson::object()); }
  bool start_array(size_t) override { return open(AnyJson::array()); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }

  bool key(string_t& name) override {
    count();
    constexpr size_t kMostInOrder = 4096;  // names kept in order are looked for one by one
    bool ordered = std::is_same_v<AnyJson, nlohmann::ordered_json>;
    require(!ordered || open_.back()->size() < kMostInOrder, file_, ": an object with more than ", kMostInOrder,
            " names");
    require(!open_.back()->contains(name), file_, ": '", name, "' stands twice in one object");
    name_ = std::move(name);
    return true;
  }

  bool parse_error(size_t position, const std::string&, const nlohmann::json::exception& error) override {
    size_t end = std::min(position, text_.size());
    int64_t line = 1 + std::count(text_.begin(), text_.begin() + std::ptrdiff_t(end), '\n');
    std::string reason = error.what();  // "[json.exception.parse_error.101] parse error at line 1, column 2: reason"
    size_t start = reason.find(": ");
    throw Error(
        lathe::text(file_, ':', line, ": not JSON: ", start == reason.npos ? reason : reason.substr(start + 2)));
  }

 private:
  void count() {
    require(++values_ <= limits_.values, file_, ": more than ", limits_.values, " values in one JSON text");
  }

  template <class T>
  AnyJson& place(T&& value) {
    count();
    if (open_.empty()) return root_ = AnyJson(std::forward<T>(value));
    AnyJson& parent = *open_.back();
    if (parent.is_object()) return parent[name_] = AnyJson(std::forward<T>(value));
    parent.push_back(AnyJson(std::forward<T>(value)));
    return parent.back();
  }

  template <class T>
  bool add(T&& value) {
    place(std::forward<T>(value));
    return true;
  }

  bool open(AnyJson empty) {
    require(int(open_.size()) < limits_.depth, file_, ": JSON nested more than ", limits_.depth, " deep");
    open_.push_back(&place(std::move(empty)));
    return true;
  }

  bool close() {
    open_.pop_back();
    return true;
  }

  std::string_view text_;
  const std::string& file_;
  JsonLimits limits_;
  AnyJson root_;
  std::vector<AnyJson*> open_;  // the objects and lists that we are in; their places stay while they are last
  std::string name_;
  int64_t values_ = 0;
};

template <class AnyJson>
AnyJson parsed(std::string_view text, const std::string& file, const JsonLimits& limits) {
  require(int64_t(text.size()) <= limits.bytes, file, ": ", text.size(), " bytes of JSON, at most ", limits.bytes,
          " are read");
  require(valid_utf8(text), file, ": not UTF-8 at byte ", first_invalid_utf8(text));
  Builder<AnyJson> builder(text, file, limits);
  AnyJson::sax_parse(text, &builder);
  return builder.take();
}

template <class Value>
std::string printed(const Value& value) {
  try {
    return value.dump(2) + "\n";
  } catch (const Json::type_error& error) {
    throw Error(text("cannot write JSON: ", error.what()));
  }
}

std::optional<int64_t> integer_of(const Json& value) {
  if (value.is_number_unsigned() && value.get<uint64_t>() > uint64_t(INT64_MAX)) return std::nullopt;
  if (value.is_number_integer()) return value.get<int64_t>();
  if (!value.is_number_float()) return std::nullopt;
  double number = value.get<double>();
  bool whole = std::abs(number) <= 9e15 && std::nearbyint(number) == number;
  return whole ? std::optional(int64_t(number)) : std::nullopt;
}

}  // namespace

Json parse_json(std::string_view text, const std::string& file, const JsonLimits& limits) {
  return parsed<Json>(text, file, limits);
}

nlohmann::ordered_json parse_ordered_json(std::string_view text, const std::string& file, const JsonLimits& limits) {
  return parsed<nlohmann::ordered_json>(text, file, limits);
}

Json read_json(const std::string& path, const JsonLimits& limits) {
  return parse_json(read_text(path, limits.bytes), path, limits);
}

std::string print_json(const Json& value) { return printed(value); }
std::string print_json(const nlohmann::ordered_json& value) { return printed(value); }

JsonFields::JsonFields(const Json& object, std::string file) : JsonFields(object, std::move(file), "") {}

JsonFields::JsonFields(const Json& object, std::string file, std::string path)
    : object_(object), file_(std::move(file)), path_(std::move(path)) {
  require(object.is_object(), file_, ": ", path_.empty() ? "it" : path_.substr(0, path_.size() - 1),
          " must be an object, here it is ", object.type_name());
}

bool JsonFields::has(std::string_view name) const {
  auto found = object_.find(name);
  return found != object_.end() && !found->is_null();
}

std::string JsonFields::place(std::string_view name) const { return text(file_, ": ", path_, name); }

const Json& JsonFields::at(std::string_view name) const {
  require(has(name), place(name), " is missing");
  return *object_.find(name);
}

void JsonFields::wrong(std::string_view name, const Json& found, const char* wanted) const {
  throw Error(
      text(place(name), " must be ", wanted, ", here it is ", found.is_number() ? found.dump() : found.type_name()));
}

int64_t JsonFields::integer(std::string_view name) const {
  std::optional<int64_t> value = integer_of(at(name));
  if (!value) wrong(name, at(name), "a whole number");
  return *value;
}

double JsonFields::number(std::string_view name) const {
  if (!at(name).is_number()) wrong(name, at(name), "a number");
  return at(name).get<double>();
}

bool JsonFields::boolean(std::string_view name) const {
  if (!at(name).is_boolean()) wrong(name, at(name), "true or false");
  return at(name).get<bool>();
}

std::string JsonFields::string(std::string_view name) const {
  if (!at(name).is_string()) wrong(name, at(name), "a string");
  return at(name).get<std::string>();
}

int64_t JsonFields::integer(std::string_view name, int64_t fallback) const {
  return has(name) ? integer(name) : fallback;
}
double JsonFields::number(std::string_view name, double fallback) const { return has(name) ? number(name) : fallback; }
bool JsonFields::boolean(std::string_view name, bool fallback) const { return has(name) ? boolean(name) : fallback; }
std::string JsonFields::string(std::string_view name, std::string_view fallback) const {
  return has(name) ? string(name) : std::string(fallback);
}

std::vector<int64_t> JsonFields::integers(std::string_view name) const {
  std::vector<int64_t> values;
  if (!at(name).is_array()) wrong(name, at(name), "a list of whole numbers");
  for (const Json& item : at(name)) {
    std::optional<int64_t> value = integer_of(item);
    if (!value) wrong(name, item, "a list of whole numbers");
    values.push_back(*value);
  }
  return values;
}

std::vector<std::string> JsonFields::strings(std::string_view name) const {
  std::vector<std::string> values;
  if (!at(name).is_array()) wrong(name, at(name), "a list of strings");
  for (const Json& item : at(name)) {
    if (!item.is_string()) wrong(name, item, "a list of strings");
    values.push_back(item.get<std::string>());
  }
  return values;
}

JsonFields JsonFields::object(std::string_view name) const {
  return JsonFields(at(name), file_, text(path_, name, '.'));
}

std::vector<std::string> JsonFields::names() const {
  std::vector<std::string> all;
  for (auto item = object_.begin(); item != object_.end(); ++item) all.push_back(item.key());
  return all;
}

}  // namespace lathe
