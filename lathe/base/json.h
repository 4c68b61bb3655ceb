#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace lathe {

/// What a JSON text may cost before it is refused.
struct JsonLimits {
  int64_t bytes = 64 << 20;
  int64_t values = 4 << 20;  // objects, lists, names and plain values
  int depth = 64;
};

/// Parses configuration-sized JSON (big files: simdjson). Throws Error naming `file`, line and reason for what is no
/// JSON, not UTF-8, NaN or infinite, beyond the limits, or has a name twice in one object.
nlohmann::json parse_json(std::string_view text, const std::string& file, const JsonLimits& limits = {});
nlohmann::json read_json(const std::string& path, const JsonLimits& limits = {});
/// The same, with the names of each object, at most 4,096, in the order of the text.
nlohmann::ordered_json parse_ordered_json(std::string_view text, const std::string& file,
                                          const JsonLimits& limits = {});

/// Indented text with a last line end. Throws Error when a text in it is not UTF-8.
std::string print_json(const nlohmann::json& value);
std::string print_json(const nlohmann::ordered_json& value);

/// The fields of one JSON object, which must outlive this. Each access throws Error naming the file and the field
/// ("config.json: vision.hidden_size must be a whole number, here it is a string") when it is missing or of another
/// type; with a `fallback`, missing and null are that. Whole numbers may be written 1.0.
class JsonFields {
 public:
  JsonFields(const nlohmann::json& object, std::string file);

  bool has(std::string_view name) const;  // and is not null
  int64_t integer(std::string_view name) const;
  int64_t integer(std::string_view name, int64_t fallback) const;
  double number(std::string_view name) const;
  double number(std::string_view name, double fallback) const;
  bool boolean(std::string_view name) const;
  bool boolean(std::string_view name, bool fallback) const;
  std::string string(std::string_view name) const;
  std::string string(std::string_view name, std::string_view fallback) const;
  std::vector<int64_t> integers(std::string_view name) const;
  std::vector<std::string> strings(std::string_view name) const;
  JsonFields object(std::string_view name) const;

  std::vector<std::string> names() const;
  const nlohmann::json& json() const { return object_; }
  /// "config.json: vision.hidden_size", to begin a message of your own.
  std::string place(std::string_view name) const;

 private:
  JsonFields(const nlohmann::json& object, std::string file, std::string path);
  const nlohmann::json& at(std::string_view name) const;
  [[noreturn]] void wrong(std::string_view name, const nlohmann::json& found, const char* wanted) const;

  const nlohmann::json& object_;
  std::string file_;
  std::string path_;  // "vision." inside that object
};

}  // namespace lathe
