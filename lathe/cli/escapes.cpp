#include "lathe/cli/escapes.h"

#include <string_view>

namespace lathe::cli {

std::string unescaped(const std::string& written) {
  constexpr std::string_view kLetters = "ntr\\", kMeanings = "\n\t\r\\";
  std::string out;
  for (size_t i = 0; i < written.size(); ++i) {
    bool may_escape = written[i] == '\\' && i + 1 < written.size();
    size_t known = may_escape ? kLetters.find(written[i + 1]) : std::string_view::npos;
    out += known == std::string_view::npos ? written[i] : (++i, kMeanings[known]);
  }
  return out;
}

}  // namespace lathe::cli
