#pragma once

#include <simdjson.h>

#include <optional>
#include <string>
#include <string_view>

namespace lathe::tokenize {

/// Fields of a JSON object of which errors name the place, as in "tokenizer.json: model.vocab is missing". Valid while
/// the parser that read the document is.
class JsonFields {
 public:
  /// Throws Error when `element` is no object. `place` names it, beginning with the file.
  JsonFields(simdjson::dom::element element, std::string place);

  /// The field `key`; nullopt when it is missing or null.
  std::optional<simdjson::dom::element> find(std::string_view key) const;
  std::optional<JsonFields> object(std::string_view key) const;
  /// Throws Error when the field is missing or of another type, unless `fallback` is given for a missing one.
  std::string_view text(std::string_view key, std::optional<std::string_view> fallback = {}) const;
  bool flag(std::string_view key, bool fallback) const;
  uint64_t number(std::string_view key) const;
  simdjson::dom::array array(std::string_view key) const;
  /// The field of type "…Model", "…Normalizer" and the like: text("type").
  std::string_view type() const { return text("type", ""); }

  const std::string& place() const { return place_; }
  std::string place(std::string_view key) const;
  simdjson::dom::object all() const { return object_; }

 private:
  simdjson::dom::object object_;
  std::string place_;
};

/// `element` as text. Throws Error, naming `place`, when it is something else.
std::string_view json_text(simdjson::dom::element element, const std::string& place);

/// `json` parsed as an object named `name`; `parser` keeps it. Throws Error for what is no JSON, is nested too deeply
/// or is too large.
JsonFields parse_json(simdjson::dom::parser& parser, std::string_view json, const std::string& name);

}  // namespace lathe::tokenize
