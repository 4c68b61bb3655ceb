#include "lathe/tokenize/model_tables.h"

#include <algorithm>

#include "lathe/tokenize/characters.h"

namespace lathe::tokenize {

std::vector<TokenMerge> merges_by_score(const Vocabulary& vocabulary, const std::vector<float>& scores,
                                        const std::vector<bool>& takes_part) {
  std::vector<TokenMerge> merges;
  for (TokenId id = 0; id < vocabulary.size(); ++id) {
    if (!takes_part[id]) continue;
    const std::string_view piece = vocabulary.spelling(id);
    for (size_t cut = 1; cut < piece.size(); ++cut) {
      if (continues(static_cast<unsigned char>(piece[cut]))) continue;
      const auto left = vocabulary.id(piece.substr(0, cut));
      if (!left || !takes_part[*left]) continue;
      const auto right = vocabulary.id(piece.substr(cut));
      if (right && takes_part[*right]) merges.push_back({*left, *right, id});
    }
  }
  std::stable_sort(merges.begin(), merges.end(),
                   [&](const TokenMerge& a, const TokenMerge& b) { return scores[a.result] > scores[b.result]; });
  return merges;
}

}  // namespace lathe::tokenize
