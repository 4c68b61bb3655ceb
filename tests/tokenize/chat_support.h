#pragma once

#include <string>
#include <vector>

#include "lathe/tokenize/chat_template.h"

namespace lathe::test {

/// What transformers wrote for a conversation (chat_templates/renderings.jsonl of the shared data).
struct Rendering {
  std::string file, expected;
  Conversation conversation;
  std::vector<std::pair<std::string, std::string>> special;
};
std::vector<Rendering> renderings();

/// The template of this name there; parsed once.
const ChatTemplate& shared_template(const std::string& file);

/// A byte-level tokenizer whose special tokens are all that a template spells: <|...|>, <...>, [...].
Tokenizer tokenizer_of(const ChatTemplate& chat_template);

}  // namespace lathe::test
