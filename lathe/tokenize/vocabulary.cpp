#include "lathe/tokenize/vocabulary.h"

#include "lathe/base/error.h"

namespace lathe::tokenize {

constexpr uint64_t kMostHoles = 1'000'000;

void Vocabulary::add(std::string_view spelling, uint64_t id) {
  require(id < tokens() + kMostHoles && id < UINT32_MAX, "token '", spelling, "' has id ", id, " where only ", tokens(),
          " tokens came before: more than ", kMostHoles, " ids would be unused");
  if (id >= spellings_.size()) {
    spellings_.resize(id + 1);
    used_.resize(id + 1);
  }
  const auto place = static_cast<TokenId>(id);
  require(!used_[place], "tokens '", spellings_[place], "' and '", spelling, "' have the same id ", id);
  const bool fresh = ids_.emplace(std::string(spelling), place).second;
  require(fresh, "token '", spelling, "' is there twice, with ids ", ids_.find(spelling)->second, " and ", id);
  spellings_[place] = spelling;
  used_[place] = true;
}

std::optional<TokenId> Vocabulary::id(std::string_view spelling) const {
  const auto found = ids_.find(spelling);
  return found == ids_.end() ? std::nullopt : std::optional<TokenId>(found->second);
}

}  // namespace lathe::tokenize
