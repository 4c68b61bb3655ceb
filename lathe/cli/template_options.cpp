#include "lathe/cli/template_options.h"

#include "lathe/base/error.h"
#include "lathe/cli/command_line.h"
#include "lathe/tokenize/chat_template_files.h"

namespace lathe::cli {
namespace {

using Json = nlohmann::ordered_json;

/// NAME=VALUE; a value that is no JSON is a text.
void set_value(const std::string& setting, Json& values) {
  size_t sign = setting.find('=');
  require(sign != std::string::npos && sign > 0, "--template-set ", setting, ": write it as NAME=VALUE");
  const std::string name = setting.substr(0, sign);
  require(name != "messages", "--template-set messages: the conversation gives those; --messages takes a whole one");
  Json value = Json::parse(setting.substr(sign + 1), nullptr, false);
  if (values.is_null()) values = Json::object();
  values[name] = value.is_discarded() ? Json(setting.substr(sign + 1)) : value;
}

}  // namespace

void declare_template(CommandLine app, TemplateOptions& options) {
  app.add_option("--chat-template", options.file, "a chat template to use instead of the model's").type_name("FILE");
  app.add_option("--system", options.system, "what the system message says").type_name("TEXT");
  app.add_option_function<std::vector<std::string>>(
         "--template-set",
         [&options](const std::vector<std::string>& all) {
           for (const std::string& setting : all) set_value(setting, options.values);
         },
         "a value that the template asks for, as enable_thinking=false; again for several")
      .expected(1)
      .take_all()
      .type_name("NAME=VALUE");
}

ChatTemplate chat_template_of(const std::string& model, const TemplateOptions& options) {
  if (!options.file.empty()) return read_chat_template(options.file);
  std::optional<ChatTemplate> found = find_chat_template(model);
  require(found.has_value(), model,
          " has no chat template (no chat_template.jinja, and none in tokenizer_config.json): "
          "it was not made for conversations, or name a template with --chat-template FILE");
  return std::move(*found);
}

}  // namespace lathe::cli
