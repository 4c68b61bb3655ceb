#pragma once

#include <optional>
#include <string>

#include "lathe/tokenize/chat_template.h"

namespace lathe {

/// The template in a file of its own.
ChatTemplate read_chat_template(const std::string& path);

/// A template that is not parsed yet, and where it stands.
struct TemplateText {
  std::string text, place;
};

/// The template that comes with a model: chat_template.jinja, or else "chat_template" of tokenizer_config.json (of
/// several named ones "default") in a directory; "tokenizer.chat_template" of a GGUF file. Nothing where there is none.
/// Throws Error where what should hold it cannot be read.
std::optional<TemplateText> find_template_text(const std::string& model);
/// The same, parsed: throws Error for one that we cannot read.
std::optional<ChatTemplate> find_chat_template(const std::string& model);

}  // namespace lathe
