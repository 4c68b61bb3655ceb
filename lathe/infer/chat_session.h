#pragma once

#include "lathe/infer/generator.h"
#include "lathe/tokenize/chat_template.h"

namespace lathe {

/// A conversation with a model, message after message, whose keys and values stay in the decoder's cache: an answer
/// computes just what is new since the last. One thread.
class ChatSession {
 public:
  /// All must outlive it. `options` are values that the template asks for, or null.
  ChatSession(Generator& generator, const Tokenizer& tokenizer, const ChatTemplate& chat_template,
              nlohmann::ordered_json options = nullptr);

  /// Forgets the messages; what the system message says stays.
  void reset();
  /// What a first message of the role "system" says; empty: there is none. Forgets the other messages.
  void set_system(const std::string& text);
  const std::string& system() const { return system_; }

  /// The model's answer to `user`, which becomes part of the conversation with it, also when it is interrupted. Throws
  /// Error where the template refuses the messages or they leave no room in the context; nothing is changed then.
  Generated answer(const std::string& user, const GenerationHooks& hooks);

  /// All messages, each with "role" and "content".
  const nlohmann::ordered_json& messages() const { return messages_; }
  /// Goes on after other messages.
  void set_messages(nlohmann::ordered_json messages);

 private:
  Generator& generator_;
  const Tokenizer& tokenizer_;
  const ChatTemplate& template_;
  nlohmann::ordered_json options_, messages_;
  std::string system_;
};

}  // namespace lathe
