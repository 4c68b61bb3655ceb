#pragma once

#include <optional>
#include <string>

#include "lathe/tokenize/chat_template.h"

namespace lathe {

/// The template in a file of its own.
ChatTemplate read_chat_template(const std::string& path);

/// The template that comes with a model: chat_template.jinja, or else "chat_template" of tokenizer_config.json (of
/// several named ones "default") in a directory; "tokenizer.chat_template" of a GGUF file. Nothing where there is none.
/// Throws Error for one that we cannot read.
std::optional<ChatTemplate> find_chat_template(const std::string& model);

}  // namespace lathe
