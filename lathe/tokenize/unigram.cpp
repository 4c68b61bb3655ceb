#include "lathe/tokenize/unigram.h"

#include <algorithm>

#include "lathe/tokenize/byte_tokens.h"
#include "lathe/tokenize/characters.h"

namespace lathe::tokenize {
namespace {

constexpr double kUnknownPenalty = 10;  // below the least probable piece

}  // namespace

/// The best way to the byte before which it stands: its last piece and where that begins.
struct Unigram::Node {
  double score = 0;
  size_t begin = SIZE_MAX;
  TokenId id = 0;
};

Unigram::Unigram(const Vocabulary& vocabulary, std::vector<double> scores, UnigramSettings settings)
    : vocabulary_(vocabulary),
      scores_(std::move(scores)),
      settings_(std::move(settings)),
      trie_(vocabulary.size() * 8) {
  settings_.hidden.resize(vocabulary.size());
  for (TokenId id = 0; id < scores_.size(); ++id) {
    if (!settings_.hidden[id]) trie_.add(vocabulary.spelling(id), id);
  }
  if (!scores_.empty()) unknown_score_ = *std::min_element(scores_.begin(), scores_.end()) - kUnknownPenalty;
  bytes_.fill(PrefixTrie::kNone);
  if (settings_.byte_fallback) bytes_ = byte_tokens(vocabulary);
}

/// Calls use(id, end) for the pieces of a word in order.
template <class Use>
void Unigram::pieces(std::string_view word, Use use) const {
  thread_local std::vector<Node> best;
  best.assign(word.size() + 1, Node{});
  const auto offer = [&](size_t begin, size_t end, TokenId id, double score) {
    Node& node = best[end];
    if (node.begin == SIZE_MAX || score > node.score) node = {score, begin, id};
  };
  const TokenId unknown = settings_.unknown.value_or(PrefixTrie::kNone);
  for (size_t at = 0; at < word.size();) {
    const size_t character = character_at(word.data() + at, word.data() + word.size()).bytes;
    const double score = best[at].score;
    bool is_known = false;
    trie_.prefixes(word.substr(at), [&](size_t bytes, TokenId id) {
      offer(at, at + bytes, id, score + scores_[id]);
      is_known = is_known || bytes == character;
    });
    if (!is_known) offer(at, at + character, unknown, score + unknown_score_);
    at += character;
  }
  thread_local std::vector<size_t> ends;
  ends.clear();
  for (size_t end = word.size(); end > 0; end = best[end].begin) ends.push_back(end);
  for (size_t i = ends.size(); i-- > 0;) {
    const size_t begin = best[ends[i]].begin;
    const TokenId id = best[ends[i]].id;
    if (id != unknown) {
      use(id, ends[i]);
      continue;
    }
    while (i > 0 && best[ends[i - 1]].id == unknown) --i;
    use_unknown(word.substr(begin, ends[i] - begin), begin, use);
  }
}

template <class Use>
void Unigram::use_unknown(std::string_view text, size_t begin, Use use) const {
  const auto known = vocabulary_.id(text);
  if (known && *known < scores_.size() && !settings_.hidden[*known]) return use(*known, begin + text.size());
  const bool spelt = std::all_of(text.begin(), text.end(), [&](char byte) {
    return bytes_[static_cast<unsigned char>(byte)] != PrefixTrie::kNone;
  });
  if (!spelt) {
    if (settings_.unknown) use(*settings_.unknown, begin + text.size());
    return;
  }
  for (size_t i = 0; i < text.size(); ++i) use(bytes_[static_cast<unsigned char>(text[i])], begin + i + 1);
}

void Unigram::encode_word(std::string_view word, std::vector<TokenId>& ids) const {
  pieces(word, [&](TokenId id, size_t) { ids.push_back(id); });
}

void Unigram::encode_spans(std::string_view word, std::vector<TokenId>& ids, std::vector<size_t>& ends) const {
  pieces(word, [&](TokenId id, size_t end) {
    ids.push_back(id);
    ends.push_back(end);
  });
}

}  // namespace lathe::tokenize
