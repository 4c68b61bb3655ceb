#include "lathe/infer/chat_session.h"

#include <utility>

#include "lathe/base/error.h"

namespace lathe {
namespace {

using Json = nlohmann::ordered_json;

Json message(const char* role, const std::string& content) { return {{"role", role}, {"content", content}}; }

}  // namespace

ChatSession::ChatSession(Generator& generator, const Tokenizer& tokenizer, const ChatTemplate& chat_template,
                         Json options)
    : generator_(generator),
      tokenizer_(tokenizer),
      template_(chat_template),
      options_(std::move(options)),
      messages_(Json::array()) {}

void ChatSession::reset() {
  messages_ = Json::array();
  if (!system_.empty()) messages_.push_back(message("system", system_));
}

void ChatSession::set_system(const std::string& text) {
  system_ = text;
  reset();
}

Generated ChatSession::answer(const std::string& user, const GenerationHooks& hooks) {
  Conversation conversation{.messages = messages_, .options = options_};
  conversation.messages.push_back(message("user", user));
  std::vector<TokenId> prompt = template_.tokens(conversation, tokenizer_);
  require(int64_t(prompt.size()) < generator_.context(), "the conversation has ", prompt.size(),
          " tokens; the context of ", generator_.context(), " leaves no room for an answer");
  Generated answer = generator_.resume(prompt, hooks);
  messages_ = std::move(conversation.messages);
  messages_.push_back(message("assistant", answer.text));
  return answer;
}

void ChatSession::set_messages(Json messages) {
  messages_ = std::move(messages);
  bool has_system = !messages_.empty() && messages_[0]["role"] == "system" && messages_[0]["content"].is_string();
  system_ = has_system ? messages_[0]["content"].get<std::string>() : "";
}

}  // namespace lathe
