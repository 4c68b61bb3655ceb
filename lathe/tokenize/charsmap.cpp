#include <utf8proc.h>

#include <cstring>

#include "lathe/base/error.h"
#include "lathe/base/utf8.h"
#include "lathe/tokenize/each_character.h"
#include "lathe/tokenize/normalizer.h"

namespace lathe::tokenize {
namespace {

/// A double-array trie as the darts-clone library stores it: units of 32 bits.
class DoubleArray {
 public:
  explicit DoubleArray(std::string_view bytes) : units_(bytes.size() / 4) {
    if (!units_.empty()) std::memcpy(units_.data(), bytes.data(), units_.size() * 4);
  }

  /// Whether a key begins with `text`, or is it.
  bool reaches(std::string_view text) const {
    uint32_t node = units_.empty() ? 0 : offset(units_[0]);
    for (const char byte : text) {
      node ^= static_cast<unsigned char>(byte);
      if (node >= units_.size() || (units_[node] & 0x800000FF) != static_cast<unsigned char>(byte)) return false;
      node ^= offset(units_[node]);
    }
    return true;
  }

  /// Calls found(bytes, value) for each key that `text` begins with, the shortest first, until it returns false.
  template <class Found>
  void prefixes(std::string_view text, Found found) const {
    uint32_t node = 0;
    if (units_.empty()) return;
    node ^= offset(units_[0]);
    for (size_t i = 0; i < text.size() && text[i] != 0; ++i) {
      const auto byte = static_cast<unsigned char>(text[i]);
      node ^= byte;
      if (node >= units_.size()) return;
      const uint32_t unit = units_[node];
      if ((unit & 0x800000FF) != byte) return;
      node ^= offset(unit);
      if (!(unit >> 8 & 1)) continue;
      if (node >= units_.size()) return;
      if (!found(i + 1, units_[node] & 0x7FFFFFFF)) return;
    }
  }

 private:
  static uint32_t offset(uint32_t unit) { return unit >> 10 << ((unit & 0x200) >> 6); }
  std::vector<uint32_t> units_;
};

class Precompiled final : public Normalizer {
 public:
  Precompiled(const std::string& charsmap, size_t trie_bytes, CharsmapUse use)
      : trie_(std::string_view(charsmap).substr(4, trie_bytes)), texts_(charsmap.substr(4 + trie_bytes)), use_(use) {
    texts_ += '\0';
    for (int byte = 0; byte < 128; ++byte) {
      const char value = static_cast<char>(byte);
      ascii_stays_[static_cast<size_t>(byte)] = !has_key({&value, 1}) && !has_ascii_key_behind(value);
    }
  }

  void apply(const TrackedText& text, Edges, TrackedText& out) const override {
    const std::string& bytes = text.text();
    for (size_t at = 0; at < bytes.size();) {
      const size_t plain = ascii_end(bytes, at);
      if (plain > at) {
        out.keep(text, at, plain);
        at = plain;
        continue;
      }
      at = use_ == CharsmapUse::longest_match ? longest(text, at, out) : grapheme(text, at, out);
    }
  }

 private:
  /// The end of ASCII from `at` on that stays as it is and has nothing to combine with behind it.
  size_t ascii_end(const std::string& bytes, size_t at) const {
    const auto stays = [&](size_t i) {
      const auto byte = static_cast<unsigned char>(bytes[i]);
      return byte < 0x80 && ascii_stays_[byte] && byte != '\r';
    };
    while (at < bytes.size() && stays(at) && (at + 1 == bytes.size() || static_cast<signed char>(bytes[at + 1]) >= 0)) {
      ++at;
    }
    return at;
  }

  bool has_key(std::string_view text) const {
    bool any = false;
    trie_.prefixes(text, [&](size_t, uint32_t) { return any = true, false; });
    return any;
  }

  /// Whether a key of two ASCII characters or more begins with `first`.
  bool has_ascii_key_behind(char first) const {
    for (int second = 1; second < 128; ++second) {
      const char pair[2] = {first, static_cast<char>(second)};
      if (trie_.reaches({pair, 2})) return true;
    }
    return false;
  }

  std::string_view text_of(uint32_t place) const {
    const bool starts = place < texts_.size() && !continues(static_cast<unsigned char>(texts_[place]));
    return starts ? std::string_view(texts_.c_str() + place) : std::string_view();
  }

  size_t longest(const TrackedText& text, size_t at, TrackedText& out) const {
    size_t bytes = 0;
    uint32_t place = 0;
    trie_.prefixes(std::string_view(text.text()).substr(at), [&](size_t length, uint32_t value) {
      const size_t end = at + length;
      if (end < text.text().size() && continues(static_cast<unsigned char>(text.text()[end]))) return true;
      bytes = length;
      place = value;
      return true;
    });
    const size_t character = character_at(text.text().data() + at, text.text().data() + text.text().size()).bytes;
    if (bytes == 0) return out.keep(text, at, at + character), at + character;
    out.replace(text, at, at + bytes, text_of(place));
    return at + bytes;
  }

  /// Appends what the entry makes of all bytes from `begin` to `end`; false when there is no entry.
  bool transform(const TrackedText& text, size_t begin, size_t end, TrackedText& out) const {
    bool any = false;
    trie_.prefixes(std::string_view(text.text()).substr(begin, end - begin), [&](size_t, uint32_t place) {
      out.replace(text, begin, end, text_of(place));
      any = true;
      return false;
    });
    return any;
  }

  static size_t grapheme_end(const std::string& bytes, size_t at) {
    utf8proc_int32_t state = 0;
    uint32_t before = 0;
    for (size_t next = at; next < bytes.size();) {
      const Character c = character_at(bytes.data() + next, bytes.data() + bytes.size());
      if (next > at && utf8proc_grapheme_break_stateful(static_cast<utf8proc_int32_t>(before),
                                                        static_cast<utf8proc_int32_t>(c.code), &state)) {
        return next;
      }
      before = c.code;
      next += c.bytes;
    }
    return bytes.size();
  }

  size_t grapheme(const TrackedText& text, size_t at, TrackedText& out) const {
    const std::string& bytes = text.text();
    const size_t end = grapheme_end(bytes, at);
    if (end - at < 6 && transform(text, at, end, out)) return end;
    for (size_t next; at < end; at = next) {
      next = at + character_at(bytes.data() + at, bytes.data() + end).bytes;
      if (!transform(text, at, next, out)) out.keep(text, at, next);
    }
    return end;
  }

  DoubleArray trie_;
  std::string texts_;  // each ended by a zero byte
  CharsmapUse use_;
  bool ascii_stays_[128];
};

}  // namespace

NormalizerPointer precompiled(std::string charsmap, CharsmapUse use) {
  if (charsmap.empty()) return normalizer_sequence({});
  uint32_t trie_bytes = 0;
  require(charsmap.size() >= 4, "the precompiled character map has ", charsmap.size(), " bytes; at least 4 are needed");
  std::memcpy(&trie_bytes, charsmap.data(), 4);
  require(trie_bytes % 4 == 0 && trie_bytes <= charsmap.size() - 4,
          "the precompiled character map says that its trie has ", trie_bytes, " bytes, of ", charsmap.size() - 4,
          " that are there");
  const std::string_view texts = std::string_view(charsmap).substr(4 + trie_bytes);
  require(valid_utf8(texts), "the precompiled character map has replacements that are not UTF-8");
  return std::make_unique<Precompiled>(charsmap, trie_bytes, use);
}

}  // namespace lathe::tokenize
