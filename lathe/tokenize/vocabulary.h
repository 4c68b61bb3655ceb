#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "lathe/tokenize/tokenizer.h"

namespace lathe::tokenize {

/// Spellings and ids of tokens, one to one; ids may have holes.
class Vocabulary {
 public:
  /// Throws Error when the id or the spelling is taken, or the id is so large that the vocabulary would be mostly
  /// holes.
  void add(std::string_view spelling, uint64_t id);
  void reserve(size_t tokens) { ids_.reserve(tokens), spellings_.reserve(tokens); }

  std::optional<TokenId> id(std::string_view spelling) const;
  /// The spelling; empty for a hole. `id` < size().
  const std::string& spelling(TokenId id) const { return spellings_[id]; }
  bool has(TokenId id) const { return id < used_.size() && used_[id]; }
  /// One more than the largest id.
  size_t size() const { return spellings_.size(); }
  size_t tokens() const { return ids_.size(); }

 private:
  struct Hash {
    using is_transparent = void;
    size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
  };
  std::unordered_map<std::string, TokenId, Hash, std::equal_to<>> ids_;
  std::vector<std::string> spellings_;
  std::vector<bool> used_;
};

}  // namespace lathe::tokenize
