// Any text as a chat template: an Error, or a rendering within small limits, in which just what messages brought is
// marked. The message stands behind the first zero byte; where there is none, it is fixed.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "lathe/base/error.h"
#include "lathe/base/utf8.h"
#include "lathe/tokenize/chat_template.h"

namespace {

void check(const lathe::MarkedText& text) {
  size_t end = 0;
  bool first = true;
  for (lathe::ByteRange range : text.marked()) {
    if (range.begin >= range.end || (!first && range.begin <= end) || range.end > text.size()) std::abort();
    end = range.end;
    first = false;
  }
  if (!lathe::valid_utf8(text.bytes())) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  const std::string_view all(reinterpret_cast<const char*>(bytes), size);
  const size_t zero = all.find('\0');
  const std::string message = lathe::lossy_utf8(zero == all.npos ? " <|im_end|> é\n" : all.substr(zero + 1));
  const lathe::jinja::Limits limits{.work = 200'000, .bytes = 8 << 20, .output = 1 << 20};
  try {
    lathe::ChatTemplate chat_template(std::string(all.substr(0, zero)), "fuzz");
    lathe::Conversation conversation{.messages = {{{"role", "user"}, {"content", message}},
                                                  {{"role", "assistant"}, {"content", message}, {"n", 1.5}}},
                                     .now = 0};
    conversation.tools = {{{"type", "function"}, {"function", {{"name", message}, {"l", {1, nullptr, true}}}}}};
    check(chat_template.render(conversation, {{"bos_token", "<s>"}, {"eos_token", "</s>"}}, limits));
  } catch (const lathe::Error&) {
  }
  return 0;
}
