#include "lathe/tokenize/word_piece.h"

#include "lathe/tokenize/characters.h"

namespace lathe::tokenize {
namespace {

size_t characters_of(std::string_view word) {
  size_t characters = 0;
  for (const char byte : word) characters += !continues(static_cast<unsigned char>(byte));
  return characters;
}

}  // namespace

WordPiece::WordPiece(const Vocabulary& vocabulary, WordPieceSettings settings, const std::vector<bool>& hidden)
    : settings_(std::move(settings)), first_(vocabulary.size() * 8), inside_(vocabulary.size() * 2) {
  const std::string& prefix = settings_.inside_prefix;
  for (TokenId id = 0; id < vocabulary.size(); ++id) {
    if (!vocabulary.has(id) || hidden[id]) continue;
    const std::string_view spelling = vocabulary.spelling(id);
    first_.add(spelling, id);
    if (spelling.substr(0, prefix.size()) == prefix) inside_.add(spelling.substr(prefix.size()), id);
  }
}

/// Calls use(id, end) for each piece; false where none fits.
template <class Use>
bool WordPiece::pieces(std::string_view word, Use use) const {
  if (word.size() > settings_.most_characters && characters_of(word) > settings_.most_characters) return false;
  for (size_t at = 0; at < word.size();) {
    size_t bytes = 0;
    TokenId best = 0;
    (at == 0 ? first_ : inside_).prefixes(word.substr(at), [&](size_t length, TokenId id) {
      bytes = length;
      best = id;
    });
    if (bytes == 0) return false;
    at += bytes;
    use(best, at);
  }
  return true;
}

void WordPiece::encode_word(std::string_view word, std::vector<TokenId>& ids) const {
  const size_t first = ids.size();
  if (pieces(word, [&](TokenId id, size_t) { ids.push_back(id); })) return;
  ids.resize(first);
  ids.push_back(settings_.unknown);
}

void WordPiece::encode_spans(std::string_view word, std::vector<TokenId>& ids, std::vector<size_t>& ends) const {
  const size_t first = ids.size(), first_end = ends.size();
  const auto use = [&](TokenId id, size_t end) {
    ids.push_back(id);
    ends.push_back(end);
  };
  if (pieces(word, use)) return;
  ids.resize(first);
  ends.resize(first_end);
  use(settings_.unknown, word.size());
}

}  // namespace lathe::tokenize
