#include "lathe/tokenize/json_fields.h"

#include "lathe/base/error.h"

namespace lathe::tokenize {
namespace {

const char* type_name(simdjson::dom::element element) {
  switch (element.type()) {
    case simdjson::dom::element_type::ARRAY:
      return "a list";
    case simdjson::dom::element_type::OBJECT:
      return "an object";
    case simdjson::dom::element_type::STRING:
      return "text";
    case simdjson::dom::element_type::BOOL:
      return "true or false";
    case simdjson::dom::element_type::NULL_VALUE:
      return "null";
    default:
      return "a number";
  }
}

template <class Value>
Value expect(simdjson::dom::element element, const std::string& place, const char* wanted) {
  Value value{};
  require(element.get(value) == simdjson::SUCCESS, place, " must be ", wanted, ", not ", type_name(element));
  return value;
}

}  // namespace

JsonFields::JsonFields(simdjson::dom::element element, std::string place)
    : object_(expect<simdjson::dom::object>(element, place, "an object")), place_(std::move(place)) {}

std::string JsonFields::place(std::string_view key) const {
  return place_.empty() || place_.back() == ' ' ? place_ + std::string(key) : place_ + '.' + std::string(key);
}

std::optional<simdjson::dom::element> JsonFields::find(std::string_view key) const {
  simdjson::dom::element element;
  if (object_.at_key(key).get(element) != simdjson::SUCCESS || element.is_null()) return std::nullopt;
  return element;
}

std::optional<JsonFields> JsonFields::object(std::string_view key) const {
  const auto element = find(key);
  return element ? std::optional<JsonFields>(JsonFields(*element, place(key))) : std::nullopt;
}

std::string_view JsonFields::text(std::string_view key, std::optional<std::string_view> fallback) const {
  const auto element = find(key);
  require(element || fallback, place(key), " is missing");
  return element ? json_text(*element, place(key)) : *fallback;
}

bool JsonFields::flag(std::string_view key, bool fallback) const {
  const auto element = find(key);
  return element ? expect<bool>(*element, place(key), "true or false") : fallback;
}

uint64_t JsonFields::number(std::string_view key) const {
  const auto element = find(key);
  require(element.has_value(), place(key), " is missing");
  return expect<uint64_t>(*element, place(key), "a whole number");
}

simdjson::dom::array JsonFields::array(std::string_view key) const {
  const auto element = find(key);
  require(element.has_value(), place(key), " is missing");
  return expect<simdjson::dom::array>(*element, place(key), "a list");
}

std::string_view json_text(simdjson::dom::element element, const std::string& place) {
  return expect<std::string_view>(element, place, "text");
}

JsonFields parse_json(simdjson::dom::parser& parser, std::string_view json, const std::string& name) {
  simdjson::dom::element element;
  const auto error = parser.parse(json.data(), json.size()).get(element);
  require(error == simdjson::SUCCESS, name, " is no valid JSON: ", simdjson::error_message(error));
  return JsonFields(element, name + ": ");
}

}  // namespace lathe::tokenize
