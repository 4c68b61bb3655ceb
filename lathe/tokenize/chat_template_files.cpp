#include "lathe/tokenize/chat_template_files.h"

#include <filesystem>

#include "lathe/base/error.h"
#include "lathe/base/gguf.h"
#include "lathe/base/json.h"
#include "lathe/base/text_input.h"

namespace lathe {
namespace {

namespace fs = std::filesystem;
constexpr int64_t kLargest = int64_t{1} << 20;

/// One of [{"name": "default", "template": "..."}, ...].
std::string default_of(const nlohmann::json& named, const std::string& place) {
  std::string names;
  for (const nlohmann::json& each : named) {
    JsonFields fields(each, place);
    if (fields.string("name") == "default" || named.size() == 1) return fields.string("template");
    names += (names.empty() ? "" : ", ") + fields.string("name");
  }
  throw Error(text(place, ": none of the templates is named \"default\"; there are: ", names,
                   "; save one to a file and name that with --chat-template"));
}

std::optional<TemplateText> template_of_config(const std::string& path) {
  if (!fs::exists(path)) return std::nullopt;
  nlohmann::json config = read_json(path);
  auto found = config.find("chat_template");
  if (found == config.end() || found->is_null()) return std::nullopt;
  std::string place = path + ": chat_template";
  if (found->is_array()) return TemplateText{default_of(*found, place), place};
  require(found->is_string(), place, " must be a text or a list of named ones, here it is ", found->type_name());
  return TemplateText{found->get<std::string>(), place};
}

}  // namespace

ChatTemplate read_chat_template(const std::string& path) { return ChatTemplate(read_text(path, kLargest), path); }

std::optional<TemplateText> find_template_text(const std::string& model) {
  if (!fs::is_directory(model)) {
    if (!is_gguf(model)) return std::nullopt;
    GgufFile file(model);
    constexpr const char* kKey = "tokenizer.chat_template";
    if (!file.fields().has(kKey)) return std::nullopt;
    return TemplateText{file.fields().string(kKey), file.fields().place(kKey)};
  }
  fs::path own = fs::path(model) / "chat_template.jinja";
  if (fs::exists(own)) return TemplateText{read_text(own.string(), kLargest), own.string()};
  return template_of_config((fs::path(model) / "tokenizer_config.json").string());
}

std::optional<ChatTemplate> find_chat_template(const std::string& model) {
  std::optional<TemplateText> found = find_template_text(model);
  return found ? std::optional(ChatTemplate(found->text, found->place)) : std::nullopt;
}

}  // namespace lathe
