#include "lathe/tokenize/text_encoder.h"

#include <algorithm>

#include "lathe/base/utf8.h"
#include "lathe/tokenize/characters.h"
#include "lathe/tokenize/each_character.h"
#include "lathe/tokenize/word_cache.h"

namespace lathe::tokenize {
namespace {

constexpr size_t kWordsAtOnce = 512;  // 8 KiB of views stay in the first cache
constexpr char kCutBytes[2] = {' ', '\n'};

}  // namespace

/// A text and the words that it was split into, in order.
struct TextEncoder::Pieces {
  TrackedText text;
  std::vector<Span> words;
};

std::string TextEncoder::normalized(std::string_view text) const {
  if (!normalizer) return std::string(text);
  TrackedText out;
  normalizer->apply(TrackedText(text, false), {}, out);
  return out.text();
}

TextEncoder::Pieces TextEncoder::pieces_of(const TrackedText& text, Edges edges) const {
  Pieces now{text, {{0, text.text().size()}}};
  if (text.text().empty()) now.words.clear();
  bool was_split = false;
  std::vector<std::string_view> views;
  for (const PreTokenizerStep& step : steps) {
    if (step.rewrite) {
      Pieces next{TrackedText(text.tracks()), {}};
      for (const Span& word : now.words) {
        TrackedText part(text.tracks());
        part.keep(now.text, word.begin, word.end);
        const bool start = word.begin == 0 && edges.start && edges.front;
        const bool front = step.only_start ? start : was_split || edges.front;
        const size_t begin = next.text.text().size();
        step.rewrite->apply(part, {front, true, start}, next.text);
        if (next.text.text().size() > begin) next.words.push_back({begin, next.text.text().size()});
      }
      now = std::move(next);
    }
    if (!step.split) continue;
    views.clear();
    const std::string& all = now.text.text();
    for (const Span& word : now.words) {
      const std::string_view part = std::string_view(all).substr(word.begin, word.end - word.begin);
      for (size_t at = 0; at < part.size();) at = step.split->split(part, at, kWordsAtOnce, views);
    }
    now.words.clear();
    for (const std::string_view view : views) {
      const auto begin = static_cast<size_t>(view.data() - all.data());
      now.words.push_back({begin, begin + view.size()});
    }
    was_split = true;
  }
  return now;
}

/// Calls use(token, begin, end, text) for added tokens and, with null, for words.
template <class Use>
void TextEncoder::run(const TrackedText& text, Edges edges, bool finds_added, Use use) const {
  TrackedText normal(text.tracks());
  if (normalizer) normalizer->apply(text, edges, normal);
  const TrackedText& source = normalizer ? normal : text;
  const std::string_view all = source.text();
  for (size_t at = 0; at < all.size();) {
    const size_t begin = at;
    Segment segment{all.substr(at), nullptr};
    if (finds_added) {
      segment = in_normalized_text.next(all, at);
    } else {
      at = all.size();
    }
    if (segment.token) {
      use(segment.token, begin, at, source);
      continue;
    }
    const Edges part_edges{edges.front || begin > 0, edges.back || at < all.size(), edges.start && begin == 0};
    if (begin == 0 && at == all.size()) {
      const Pieces pieces = pieces_of(source, part_edges);
      for (const Span& word : pieces.words) use(nullptr, word.begin, word.end, pieces.text);
    } else {
      TrackedText part(text.tracks());
      part.keep(source, begin, at);
      const Pieces pieces = pieces_of(part, part_edges);
      for (const Span& word : pieces.words) use(nullptr, word.begin, word.end, pieces.text);
    }
  }
}

void TextEncoder::encode(std::string_view text, Edges edges, bool finds_added, std::vector<TokenId>& ids) const {
  std::string valid;
  if (!takes_bytes && !valid_utf8(text)) text = valid = lossy_utf8(text);
  if (by_chunks_) return encode_chunks(text, edges, finds_added, ids);
  const bool plain = !normalizer || (normalizer->keeps_ascii() && is_ascii(text));
  if (plain && only_splits_ && (!finds_added || in_normalized_text.empty())) return encode_words(text, ids);
  WordCache& cache = thread_word_cache(number_);
  const bool caches = std::any_of(steps.begin(), steps.end(), [](const auto& step) { return step.split != nullptr; });
  run(TrackedText(text, false), edges, finds_added,
      [&](const AddedToken* token, size_t begin, size_t end, const TrackedText& source) {
        const std::string_view word = std::string_view(source.text()).substr(begin, end - begin);
        if (token) {
          ids.push_back(token->id);
        } else if (caches) {
          cache.encode(word, *model, ids);
        } else {
          model->encode_word(word, ids);
        }
      });
}

/// Splits without copying: all of byte-level BPE.
void TextEncoder::encode_words(std::string_view text, std::vector<TokenId>& ids) const {
  thread_local std::vector<std::string_view> words;
  WordCache& cache = thread_word_cache(number_);
  for (size_t offset = 0; offset < text.size();) {
    words.clear();
    offset = steps[0].split->split(text, offset, kWordsAtOnce, words);
    for (const std::string_view word : words) cache.encode(word, *model, ids);
  }
}

void TextEncoder::encode_chunks(std::string_view text, Edges edges, bool finds_added, std::vector<TokenId>& ids) const {
  WordCache& cache = thread_word_cache(number_);
  const bool caches = finds_added || in_normalized_text.empty();
  for (size_t at = 0; at < text.size();) {
    const size_t end = chunk_end(text, at);
    const std::string_view chunk = text.substr(at, end - at);
    const bool front = edges.front && at == 0, back = edges.back && end == text.size();
    at = end;
    if (!front && !back && caches) {
      cache.encode(chunk, *this, ids);
      continue;
    }
    run(TrackedText(chunk, false), {front, back, front && edges.start}, finds_added,
        [&](const AddedToken* token, size_t begin, size_t word_end, const TrackedText& source) {
          if (token) return ids.push_back(token->id);
          model->encode_word(std::string_view(source.text()).substr(begin, word_end - begin), ids);
        });
  }
}

/// A chunk from inside a text: what the cache asks for.
void TextEncoder::encode_word(std::string_view chunk, std::vector<TokenId>& ids) const {
  run(TrackedText(chunk, false), {false, false, false}, true,
      [&](const AddedToken* token, size_t begin, size_t end, const TrackedText& source) {
        if (token) return ids.push_back(token->id);
        model->encode_word(std::string_view(source.text()).substr(begin, end - begin), ids);
      });
}

void TextEncoder::encode_spans(std::string_view chunk, std::vector<TokenId>& ids, std::vector<size_t>& ends) const {
  TokenSpans tokens;
  encode_tracked(chunk, 0, {false, false, false}, tokens);
  ids.insert(ids.end(), tokens.ids.begin(), tokens.ids.end());
  for (const Span& span : tokens.spans) ends.push_back(span.end);
}

void TextEncoder::encode_tracked(std::string_view text, size_t offset, Edges edges, TokenSpans& tokens) const {
  TrackedText raw(text, true, offset), valid(true);
  if (!takes_bytes && !valid_utf8(text)) {
    valid_text()->apply(raw, edges, valid);
    std::swap(raw, valid);
  }
  std::vector<size_t> ends;
  run(raw, edges, true, [&](const AddedToken* token, size_t begin, size_t end, const TrackedText& source) {
    if (token) {
      tokens.ids.push_back(token->id);
      return tokens.spans.push_back(source.origin(begin, end));
    }
    ends.clear();
    model->encode_spans(std::string_view(source.text()).substr(begin, end - begin), tokens.ids, ends);
    for (size_t at = begin; const size_t word_end : ends) {
      tokens.spans.push_back(source.origin(at, begin + word_end));
      at = begin + word_end;
    }
  });
}

/// Whether the character before `at` neither joins with what follows, in any normal form or grapheme, nor may become
/// whitespace.
bool TextEncoder::is_solid_before(std::string_view text, size_t at) const {
  const auto byte = static_cast<unsigned char>(text[at - 1]);
  if (!cuts_behind_[text[at] == '\n'][byte]) return false;
  if (byte < 0x80) return byte > ' ' && byte != 0x7F;
  size_t start = at - 1;
  while (start > 0 && at - start < 4 && continues(static_cast<unsigned char>(text[start]))) --start;
  const uint32_t code = character_at(text.data() + start, text.data() + at).code;
  const bool prepends = code == 0xD4E || (code >= 0x11000 && code < 0x12000);  // scripts with letters of GCB=Prepend
  const bool joins = code == 0x200C || code == 0x200D;
  return (class_of(code) & (kLetter | kNumber | kWord)) && !prepends && !joins;
}

size_t TextEncoder::chunk_end(std::string_view text, size_t from) const {
  for (size_t at = from + 1; at < text.size(); ++at) {
    const bool cuts = (text[at] == ' ' && cuts_before_[0]) || (text[at] == '\n' && cuts_before_[1]);
    if (cuts && is_solid_before(text, at)) return at;
  }
  return text.size();
}

/// Whether splitters always cut before this byte, and each cuts text as it cuts the parts.
bool TextEncoder::splits_before(char space) const {
  bool any = false;
  for (const PreTokenizerStep& step : steps) {
    if (step.rewrite && !step.rewrite->is_local()) return false;
    if (!step.split) continue;
    if (!step.split->is_local()) return false;
    any = any || (space == ' ' ? step.split->cuts_before_spaces() : step.split->cuts_after_letters());
  }
  return any;
}

void TextEncoder::each_word(std::string_view text, const std::function<void(std::string_view)>& use) const {
  run(TrackedText(text, false), {}, false, [&](const AddedToken*, size_t begin, size_t end, const TrackedText& source) {
    use(std::string_view(source.text()).substr(begin, end - begin));
  });
}

std::string TextEncoder::words_of(std::string_view text, Edges edges) const {
  std::string words;
  run(TrackedText(text, false), edges, false,
      [&](const AddedToken*, size_t begin, size_t end, const TrackedText& source) {
        words += std::string_view(source.text()).substr(begin, end - begin);
        words += '\n';
      });
  return words;
}

/// Tries the cut on a few texts: what each step says of itself could still miss what they do together.
bool TextEncoder::probes_agree(char space) const {
  for (const char* left : {"a", "AB", "7", ".", "it's", "\xC3\xA9"}) {
    for (const char* right : {"b", "CD", "7", "'s", "  x", "\n", ""}) {
      const std::string first = left, second = space + std::string(right);
      const std::string together = words_of(first + second, {false, false, false});
      if (together != words_of(first, {false, false, false}) + words_of(second, {false, false, false})) return false;
    }
  }
  return true;
}

void TextEncoder::allow_cuts() {
  if (normalizer && !normalizer->is_local()) return;
  if (!in_normalized_text.keeps_off_spaces()) return;
  const auto inside = [&](std::string_view text) {
    if (!normalizer) return std::string(text);
    TrackedText out;
    normalizer->apply(TrackedText(text, false), {false, false, false}, out);
    return out.text();
  };
  const std::string mark = inside(" ");
  for (const std::string& pattern : normalized_patterns) {
    if (mark.empty() || pattern.find(mark, 1) != std::string::npos) return;
  }
  const bool splits = std::any_of(steps.begin(), steps.end(), [](const auto& step) { return step.split != nullptr; });
  for (int i = 0; i < 2; ++i) {
    const std::string becomes = inside({&kCutBytes[i], 1});
    if (becomes.empty()) continue;
    if (splits) {
      const bool as_space = i == 1 && cuts_before_[0] && becomes == mark;
      cuts_before_[i] = (splits_before(kCutBytes[i]) || as_space) && probes_agree(kCutBytes[i]);
      cuts_behind_[i].fill(true);
      continue;
    }
    cuts_behind_[i] = model->cuts_before(becomes);
    const auto allowed = std::count(cuts_behind_[i].begin(), cuts_behind_[i].end(), true);
    cuts_before_[i] = allowed == 256 || (allowed > 0 && (!normalizer || normalizer->keeps_letters()));
  }
}

void TextEncoder::prepare(uint64_t number) {
  number_ = number;
  only_splits_ = steps.size() == 1 && !steps[0].rewrite && steps[0].split;
  const bool cheap = !normalizer || normalizer->keeps_ascii();
  allow_cuts();
  by_chunks_ = cuts_before_[0] && !(only_splits_ && cheap);
  may_cut_ = only_splits_ && steps[0].split->cuts_after_letters();
  if (by_chunks_) {
    may_cut_ = cuts_before_[0] && cuts_before_[1];
    for (unsigned char letter = 'A'; letter <= 'z'; ++letter) {
      may_cut_ = may_cut_ && cuts_behind_[0][letter] && cuts_behind_[1][letter];
    }
  }
  may_cut_ = may_cut_ && in_normalized_text.keeps_off_spaces();
}

}  // namespace lathe::tokenize
