#include <utf8proc.h>

#include <cstdlib>

#include "lathe/base/utf8.h"
#include "lathe/tokenize/characters.h"
#include "lathe/tokenize/parts.h"
#include "lathe/tokenize/word_cache.h"

namespace lathe::tokenize {
namespace {

constexpr size_t kWordsAtOnce = 512;  // 8 KiB of views stay in the first cache

/// NFC of valid UTF-8.
std::string compose_valid(std::string_view text) {
  utf8proc_uint8_t* composed_text = nullptr;
  const auto bytes =
      utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(text.data()), static_cast<utf8proc_ssize_t>(text.size()),
                   &composed_text, static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE));
  if (bytes < 0) return std::string(text);
  std::string out(reinterpret_cast<char*>(composed_text), static_cast<size_t>(bytes));
  std::free(composed_text);
  return out;
}

bool is_ascii(std::string_view text) {
  for (const char byte : text) {
    if (static_cast<unsigned char>(byte) >= 0x80) return false;
  }
  return true;
}

}  // namespace

std::string composed(std::string_view text) {
  if (is_ascii(text)) return std::string(text);
  std::string out;
  while (!text.empty()) {
    const size_t valid = first_invalid_utf8(text);
    out += compose_valid(text.substr(0, valid));
    text.remove_prefix(valid);
    size_t invalid = 0;
    while (invalid < text.size() && !code_point_at(text, invalid).valid())
      invalid += code_point_at(text, invalid).bytes;
    out += text.substr(0, invalid);
    text.remove_prefix(invalid);
  }
  return out;
}

void encode_words(const Tokenizer::Parts& parts, std::string_view text, std::vector<TokenId>& ids) {
  thread_local std::vector<std::string_view> words;
  std::string prefixed;
  if (parts.space_in_front && !text.empty() && text.front() != ' ') text = prefixed = ' ' + std::string(text);
  std::string valid;
  if (parts.replaces_invalid && !valid_utf8(text)) text = valid = lossy_utf8(text);
  WordCache& cache = thread_word_cache(parts.number);
  for (size_t offset = 0; offset < text.size();) {
    words.clear();
    offset = parts.splitter->split(text, offset, kWordsAtOnce, words);
    for (const std::string_view word : words) cache.encode(word, *parts.model, ids);
  }
}

void encode_segments(const Tokenizer::Parts& parts, std::string_view text, std::vector<TokenId>& ids) {
  for (size_t offset = 0; offset < text.size();) {
    const Segment raw = parts.in_raw_text.next(text, offset);
    if (raw.token) {
      ids.push_back(raw.token->id);
      continue;
    }
    std::string normalized;
    std::string_view part = raw.text;
    if (parts.compose) part = normalized = composed(part);
    for (size_t at = 0; at < part.size();) {
      const Segment segment = parts.in_normalized_text.next(part, at);
      if (segment.token) {
        ids.push_back(segment.token->id);
      } else {
        encode_words(parts, segment.text, ids);
      }
    }
  }
}

}  // namespace lathe::tokenize
