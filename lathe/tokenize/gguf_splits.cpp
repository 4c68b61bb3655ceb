#include "lathe/tokenize/gguf_splits.h"

#include <map>

#include "lathe/base/error.h"
#include "lathe/tokenize/skeletons.h"

namespace lathe::tokenize {
namespace {

const std::string kGpt2 = R"({"type":"ByteLevel","add_prefix_space":false,"trim_offsets":true,"use_regex":true})";

std::string sequence(const std::string& steps) { return R"({"type":"Sequence","pretokenizers":[)" + steps + "]}"; }

GgufSplit gpt2() { return {kGpt2, false, false}; }
GgufSplit roberta() { return {kGpt2, false, false, true}; }
GgufSplit digits_then_gpt2() {
  return {sequence(R"({"type":"Digits","individual_digits":true},)" + kGpt2), false, false};
}
GgufSplit llama3() { return {split_then_bytes({cl100k_expression(3)}), true, true}; }
GgufSplit cl100k() { return {split_then_bytes({cl100k_expression(3)}), false, false}; }
GgufSplit qwen2() { return {split_then_bytes({cl100k_expression(1)}), false, false}; }

GgufSplit falcon() {
  return {sequence(R"({"type":"Punctuation","behavior":"Contiguous"},)" + kGpt2 +
                   R"(,{"type":"Digits","individual_digits":false},{"type":"Split","pattern":{"Regex":)"
                   R"("[0-9][0-9][0-9]"},"behavior":"Isolated","invert":false})"),
          false, false};
}

/// Words with their capitals: of o200k with contractions, of Mistral's Tekken without.
std::string cased_words(const char* contraction, const char* numbers) {
  const std::string head = R"([^\r\n\p{L}\p{N}]?)", upper = R"([\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}])",
                    lower = R"([\p{Ll}\p{Lm}\p{Lo}\p{M}])";
  return head + upper + '*' + lower + '+' + contraction + '|' + head + upper + '+' + lower + '*' + contraction + '|' +
         numbers + R"(| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
}
GgufSplit gpt4o() {
  return {split_then_bytes({cased_words("(?i:'s|'t|'re|'ve|'m|'ll|'d)?", R"(\p{N}{1,3})")}), false, false};
}
GgufSplit tekken() { return {split_then_bytes({cased_words("", R"(\p{N})")}), true, true}; }

GgufSplit bloom() { return {split_then_bytes({R"( ?[^(\s|[.,!?…。，、।۔،])]+)"}), false, false}; }

GgufSplit deepseek_llm() {
  return {split_then_bytes({R"([\r\n])", R"(\s?\p{L}+)", R"(\s?\p{P}+)", R"([一-龥ࠀ-一가-퟿]+)", R"(\p{N}+)"}),
          false, false};
}
GgufSplit deepseek_coder() {
  return {split_then_bytes({R"([\r\n])", R"(\s?\p{L}+)", R"(\s?\p{P}+)", R"([一-龥ࠀ-一가-퟿]+)", R"(\p{N})"}),
          false, false};
}
GgufSplit deepseek_v3() {
  return {split_then_bytes({R"(\p{N}{1,3})", R"([一-龥぀-ゟ゠-ヿ]+)",
                            R"([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+|)"
                            R"( ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)"}),
          false, false};
}

/// The names that llama.cpp's converter gives.
const std::map<std::string, GgufSplit (*)()>& splits() {
  static const std::map<std::string, GgufSplit (*)()> all = {{"gpt-2", gpt2},
                                                             {"gpt2", gpt2},
                                                             {"phi-2", gpt2},
                                                             {"jina-v1-en", roberta},
                                                             {"jina-v2-es", gpt2},
                                                             {"jina-v2-de", gpt2},
                                                             {"jina-v2-code", roberta},
                                                             {"jina-es", gpt2},
                                                             {"jina-de", gpt2},
                                                             {"roberta-bpe", roberta},
                                                             {"gigachat", gpt2},
                                                             {"mpt", gpt2},
                                                             {"olmo", gpt2},
                                                             {"jais", gpt2},
                                                             {"trillion", gpt2},
                                                             {"a.x-4.0", gpt2},
                                                             {"mellum", gpt2},
                                                             {"starcoder", digits_then_gpt2},
                                                             {"refact", digits_then_gpt2},
                                                             {"command-r", digits_then_gpt2},
                                                             {"smollm", digits_then_gpt2},
                                                             {"codeshell", digits_then_gpt2},
                                                             {"exaone", digits_then_gpt2},
                                                             {"minerva-7b", digits_then_gpt2},
                                                             {"llama-bpe", llama3},
                                                             {"llama3", llama3},
                                                             {"llama-v3", llama3},
                                                             {"falcon3", llama3},
                                                             {"falcon-h1", llama3},
                                                             {"pixtral", llama3},
                                                             {"dbrx", cl100k},
                                                             {"smaug-bpe", cl100k},
                                                             {"chatglm-bpe", cl100k},
                                                             {"glm4", cl100k},
                                                             {"qwen2", qwen2},
                                                             {"stablelm2", qwen2},
                                                             {"deepseek-r1-qwen", qwen2},
                                                             {"megrez", qwen2},
                                                             {"hunyuan", qwen2},
                                                             {"falcon", falcon},
                                                             {"gpt-4o", gpt4o},
                                                             {"llama4", gpt4o},
                                                             {"tekken", tekken},
                                                             {"bloom", bloom},
                                                             {"poro-chat", bloom},
                                                             {"gpt3-finnish", bloom},
                                                             {"deepseek-llm", deepseek_llm},
                                                             {"deepseek-coder", deepseek_coder},
                                                             {"deepseek-v3", deepseek_v3}};
  return all;
}

}  // namespace

GgufSplit gguf_split(const std::string& name, const std::string& place) {
  const auto found = splits().find(name);
  if (found != splits().end()) return found->second();
  std::string known;
  for (const auto& [one, split] : splits()) known += (known.empty() ? "" : ", ") + one;
  throw Error(
      text(place, " '", name, "' is not supported, so text cannot be split as the model expects; known are ", known));
}

}  // namespace lathe::tokenize
