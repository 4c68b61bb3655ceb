#pragma once

#include <sstream>
#include <stdexcept>
#include <string>

namespace lathe {

/// Something the user can fix. The message names what, where, both sides and the way out.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// A promise of ours is broken; carries file and line. Never reachable from user input.
class InternalError : public std::logic_error {
 public:
  explicit InternalError(const std::string& message, const char* file = __builtin_FILE(), int line = __builtin_LINE());
};

/// `parts` written one after another, with the C locale's numbers.
template <class... Parts>
std::string text(const Parts&... parts) {
  std::ostringstream out;
  out.imbue(std::locale::classic());
  (out << ... << parts);
  return out.str();
}

/// Throws Error with the text of `parts` unless `condition` holds.
template <class... Parts>
void require(bool condition, const Parts&... parts) {
  if (!condition) throw Error(text(parts...));
}

}  // namespace lathe
