#include <algorithm>

#include "lathe/tokenize/characters.h"
#include "lathe/tokenize/scripts.h"
#include "lathe/tokenize/splitter.h"

namespace lathe::tokenize {
namespace {

/// 0: goes with any script.
uint32_t script_of(uint32_t code) {
  const ScriptRange* end = kScripts + kScriptsCount;
  const ScriptRange* found =
      std::lower_bound(kScripts, end, code, [](const ScriptRange& range, uint32_t c) { return range.last < c; });
  return found != end && found->first <= code ? found->script : 0;
}

/// What goes with any script stays with what stands before it; at the start of a text it is left out.
class ScriptSplitter final : public Splitter {
 public:
  size_t split(std::string_view text, size_t offset, size_t limit,
               std::vector<std::string_view>& words) const override {
    const char *const begin = text.data(), *const end = begin + text.size();
    uint32_t script = 0;
    const char* word = nullptr;
    for (const char* p = begin + offset; p != end;) {
      const Character c = character_at(p, end);
      const uint32_t next = script_of(c.code);
      if (next != 0 && next != script) {
        if (word) words.emplace_back(word, size_t(p - word));
        if (word && --limit == 0) return size_t(p - begin);
        word = p;
        script = next;
      }
      p += c.bytes;
    }
    if (word) words.emplace_back(word, size_t(end - word));
    return text.size();
  }
  bool cuts_after_letters() const override { return false; }
};

}  // namespace

std::unique_ptr<Splitter> script_splitter() { return std::make_unique<ScriptSplitter>(); }

}  // namespace lathe::tokenize
