#include "lathe/tokenize/chat_template.h"

#include <algorithm>

#include "lathe/base/error.h"
#include "lathe/base/json.h"

namespace lathe {
namespace {

using Json = nlohmann::ordered_json;
using jinja::Run;
using jinja::Value;

bool usual_role(const std::string& role) {
  constexpr std::string_view kRoles[] = {"assistant", "developer",   "environment", "function", "ipython",
                                         "model",     "observation", "system",      "tool",     "user"};
  return std::find(std::begin(kRoles), std::end(kRoles), role) != std::end(kRoles);
}

Value value_of(const Json& json, Run& run);

Value dict_of(const Json& json, Run& run) {
  std::vector<std::pair<Value, Value>> items;
  for (const auto& [key, content] : json.items()) {
    bool role = key == "role" && content.is_string() && usual_role(content.get_ref<const std::string&>());
    Value name = run.text(MarkedText::all_marked(key));
    items.emplace_back(name, role ? run.plain(content.get<std::string>()) : value_of(content, run));
  }
  return run.dict(std::move(items));
}

/// `json` with all its texts marked.
Value value_of(const Json& json, Run& run) {
  Run::Nested nested(run);
  run.work();
  if (json.is_null()) return Value();
  if (json.is_boolean()) return json.get<bool>();
  if (json.is_number_unsigned() && json.get<uint64_t>() > uint64_t(INT64_MAX))
    run.fail("the number ", json.get<uint64_t>(), " in the messages has more than 64 bits, which is not supported");
  if (json.is_number_integer()) return json.get<int64_t>();
  if (json.is_number_float()) return json.get<double>();
  if (json.is_string()) return run.text(MarkedText::all_marked(json.get<std::string>()));
  if (json.is_object()) return dict_of(json, run);
  std::vector<Value> items;
  for (const Json& item : json) items.push_back(value_of(item, run));
  return run.list(std::move(items));
}

/// The names that transformers calls a tokenizer's own tokens by.
std::vector<std::pair<std::string, std::string>> special_tokens(const Tokenizer& tokenizer) {
  std::vector<std::pair<std::string, std::string>> special;
  auto add = [&](const char* name, std::optional<TokenId> id) {
    if (id) special.emplace_back(name, tokenizer.token(*id));
  };
  add("bos_token", tokenizer.begin_token());
  add("eos_token", tokenizer.end_token());
  add("unk_token", tokenizer.unknown_token());
  add("pad_token", tokenizer.pad_token());
  return special;
}

}  // namespace

ChatTemplate::ChatTemplate(std::string source, std::string name)
    : source_(std::move(source)), template_(source_, std::move(name)) {}

MarkedText ChatTemplate::render(const Conversation& conversation,
                                const std::vector<std::pair<std::string, std::string>>& special,
                                const jinja::Limits& limits) const {
  return template_.render(limits, conversation.now, [&](jinja::Scope& names, Run& run) {
    for (const auto& [name, token] : special) names.set(name, run.plain(token));
    names.set("messages", value_of(conversation.messages, run));
    names.set("tools", value_of(conversation.tools, run));
    names.set("documents", Value());
    names.set("add_generation_prompt", conversation.add_generation_prompt);
    if (!conversation.options.is_object()) return;
    for (const auto& [name, value] : conversation.options.items()) names.set(name, value_of(value, run));
  });
}

std::vector<TokenId> ChatTemplate::tokens(const Conversation& conversation, const Tokenizer& tokenizer) const {
  std::vector<TokenId> ids;
  tokenizer.encode_marked(render(conversation, special_tokens(tokenizer)), ids);
  return ids;
}

std::optional<TokenId> ChatTemplate::end_of_turn(const Tokenizer& tokenizer) const {
  Conversation probe{.messages = {{{"role", "user"}, {"content", "a"}}, {{"role", "assistant"}, {"content", "b"}}},
                     .add_generation_prompt = false};
  try {
    MarkedText text = render(probe, special_tokens(tokenizer));
    if (text.marked().empty()) return std::nullopt;
    std::vector<TokenId> behind;
    tokenizer.encode_marked(text.part(text.marked().back().end, text.size()), behind);
    bool special = !behind.empty() && tokenizer.is_special(behind[0]);
    return special ? std::optional(behind[0]) : std::nullopt;
  } catch (const Error&) {
    return std::nullopt;
  }
}

Conversation read_conversation(std::string_view text, const std::string& file) {
  Conversation conversation;
  Json json = parse_ordered_json(text, file);
  if (json.is_object() && json.contains("tools")) conversation.tools = json["tools"];
  if (json.is_object() && json.contains("messages")) json = Json(json["messages"]);
  require(json.is_array() && !json.empty(), file,
          ": neither a list of messages nor an object with such a list as \"messages\"");
  for (size_t i = 0; i < json.size(); ++i)
    require(json[i].is_object() && json[i].contains("role") && json[i]["role"].is_string(), file, ": message ", i + 1,
            " is no object with a text \"role\"");
  conversation.messages = std::move(json);
  return conversation;
}

}  // namespace lathe
