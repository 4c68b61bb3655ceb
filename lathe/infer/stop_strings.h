#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace lathe {

/// Looks for strings that end a text, in text that comes in pieces; the one that is complete first counts, the longest
/// of equals, wherever pieces are cut. What may be the beginning of one is held back, so nothing of it is ever shown.
/// One thread.
class StopStrings {
 public:
  /// Throws Error for an empty string.
  explicit StopStrings(std::vector<std::string> stops);

  /// What may be shown of the text so far, without what was returned before.
  std::string push(std::string_view piece);
  /// Whether a stop string has come; nothing more is shown then.
  bool stopped() const { return stopped_; }
  /// What is held back, when the text ends otherwise.
  std::string finish();

 private:
  std::vector<std::string> stops_;
  std::string held_;
  bool stopped_ = false;
};

}  // namespace lathe
