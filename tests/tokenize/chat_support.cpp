#include "tests/tokenize/chat_support.h"

#include <fstream>
#include <map>
#include <regex>
#include <set>

#include "lathe/base/json.h"
#include "lathe/base/text_input.h"
#include "lathe/tokenize/trainer.h"
#include "tests/support/checkout.h"

namespace lathe::test {
namespace {

std::time_t time_of(const std::string& written) {
  std::tm time{};
  strptime(written.c_str(), "%Y-%m-%dT%H:%M:%S", &time);
  time.tm_isdst = -1;
  return std::mktime(&time);
}

}  // namespace

std::vector<Rendering> renderings() {
  std::vector<Rendering> all;
  std::ifstream lines(shared_data("chat_templates/renderings.jsonl"));
  for (std::string line; std::getline(lines, line);) {
    nlohmann::ordered_json json = parse_ordered_json(line, "renderings.jsonl");
    Rendering one{json["template"], json["expected"], {}, {}};
    one.conversation.messages = json["messages"];
    one.conversation.tools = json["tools"];
    one.conversation.add_generation_prompt = json["add_generation_prompt"];
    one.conversation.now = time_of(json["now"]);
    one.special = {{"bos_token", json["bos_token"]}, {"eos_token", json["eos_token"]}};
    all.push_back(std::move(one));
  }
  return all;
}

const ChatTemplate& shared_template(const std::string& file) {
  static std::map<std::string, ChatTemplate> all;
  auto found = all.find(file);
  if (found != all.end()) return found->second;
  return all.emplace(file, ChatTemplate(read_text(shared_data("chat_templates/" + file)), file)).first->second;
}

Tokenizer tokenizer_of(const ChatTemplate& chat_template) {
  static const std::regex kTokens(R"(<[^<>\s'"]{1,40}>|\[/?[A-Z_]{3,30}\])");
  const std::string& source = chat_template.source();
  std::set<std::string> tokens = {"<s>", "</s>"};
  for (std::sregex_iterator at(source.begin(), source.end(), kTokens), end; at != end; ++at) tokens.insert(at->str());
  TokenizerTraining training{.vocabulary_size = int64_t(256 + tokens.size())};
  training.special_tokens.clear();
  for (const std::string& token : tokens) training.special_tokens.push_back(token);
  TokenizerTrainer trainer(training);
  trainer.add("a");
  return trainer.train();
}

}  // namespace lathe::test
