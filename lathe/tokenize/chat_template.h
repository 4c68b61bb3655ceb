#pragma once

#include <ctime>
#include <nlohmann/json.hpp>

#include "lathe/tokenize/jinja_template.h"
#include "lathe/tokenize/tokenizer.h"

namespace lathe {

/// What a chat template makes a text of.
struct Conversation {
  nlohmann::ordered_json messages = nlohmann::ordered_json::array();  ///< objects with "role" and "content"
  nlohmann::ordered_json tools;                                       ///< JSON schemas of functions, or null
  nlohmann::ordered_json options;  ///< an object of what else the template asks for (enable_thinking), or null
  bool add_generation_prompt = true;
  std::time_t now = std::time(nullptr);
};

/// A model's chat template. Immutable; any number of threads may use it.
class ChatTemplate {
 public:
  /// `name` begins messages about it. Throws Error for what is no template that we support.
  ChatTemplate(std::string source, std::string name);

  /// The text of a conversation, in which every byte that the messages and tools brought is marked; the names of the
  /// usual roles are not, since templates spell control tokens with them. `special` are names and texts of tokens
  /// (bos_token). Throws Error where the template refuses the messages, or costs too much.
  MarkedText render(const Conversation& conversation,
                    const std::vector<std::pair<std::string, std::string>>& special = {},
                    const jinja::Limits& limits = {}) const;

  /// The ids of a conversation: those that transformers' apply_chat_template gives, save that marked text makes no
  /// added tokens.
  std::vector<TokenId> tokens(const Conversation& conversation, const Tokenizer& tokenizer) const;

  /// The control token that the template writes behind what the assistant said; nothing where it writes none, or does
  /// not take the conversation that would show it.
  std::optional<TokenId> end_of_turn(const Tokenizer& tokenizer) const;

  const std::string& source() const { return source_; }

 private:
  std::string source_;
  jinja::Template template_;
};

/// `messages` of a file: a list of objects with a text "role", or an object with such a list as "messages" (and
/// "tools"). Throws Error naming what is wrong, with `file` before it.
Conversation read_conversation(std::string_view json, const std::string& file);

}  // namespace lathe
