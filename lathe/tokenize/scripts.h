#pragma once

#include <cstddef>
#include <cstdint>

namespace lathe::tokenize {

/// Characters that Hugging Face's UnicodeScripts takes for one script; numbers mean no more than that. It has kana
/// with Han, and what is in no range goes with any script.
struct ScriptRange {
  uint32_t first, last;
  uint32_t script;  ///< above 0
};
extern const ScriptRange kScripts[];
extern const size_t kScriptsCount;

}  // namespace lathe::tokenize
