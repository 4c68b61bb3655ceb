#include <utf8proc.h>

#include <cstdlib>

#include "lathe/base/utf8.h"
#include "lathe/tokenize/each_character.h"
#include "lathe/tokenize/normalizer.h"
#include "lathe/tokenize/older_classes.h"

namespace lathe::tokenize {
namespace {

class ValidText final : public Normalizer {
 public:
  void apply(const TrackedText& text, Edges, TrackedText& out) const override {
    const std::string& bytes = text.text();
    for (size_t at = 0; at < bytes.size();) {
      const size_t valid = at + first_invalid_utf8(std::string_view(bytes).substr(at));
      out.keep(text, at, valid);
      at = valid;
      if (at == bytes.size()) return;
      const size_t invalid = code_point_at(bytes, at).bytes;
      out.replace(text, at, at + invalid, "\xEF\xBF\xBD");
      at += invalid;
    }
  }
  bool keeps_letters() const override { return true; }
  bool keeps_ascii() const override { return true; }
};

/// A vowel or final consonant of Hangul, which composes with what stands before it.
bool is_following_jamo(uint32_t code) {
  return (code >= 0x1160 && code <= 0x11FF) || (code >= 0xD7B0 && code <= 0xD7FB);
}

/// True when no normal form joins the character with one before it.
bool starts_afresh(uint32_t code) {
  if (code < 0x300) return true;
  const auto* property = utf8proc_get_property(static_cast<utf8proc_int32_t>(code));
  return property->combining_class == 0 && property->category != UTF8PROC_CATEGORY_MN &&
         property->category != UTF8PROC_CATEGORY_MC && property->category != UTF8PROC_CATEGORY_ME &&
         !is_following_jamo(code);
}

class NormalForm final : public Normalizer {
 public:
  explicit NormalForm(int options) : options_(options | UTF8PROC_STABLE) {}

  void apply(const TrackedText& text, Edges, TrackedText& out) const override {
    const std::string& bytes = text.text();
    size_t begin = 0;
    for (size_t at = 0; at < bytes.size();) {
      const Character c = character_at(bytes.data() + at, bytes.data() + bytes.size());
      const bool stays = older_class(c.code) & kIsUndecomposed;
      if (at > begin && (stays || starts_afresh(c.code))) {
        rewrite(text, begin, at, out);
        begin = at;
      }
      at += c.bytes;
      if (!stays) continue;
      out.keep(text, begin, at);
      begin = at;
    }
    if (begin < bytes.size()) rewrite(text, begin, bytes.size(), out);
  }
  bool keeps_ascii() const override { return true; }

 private:
  /// Whether these bytes are one character that has no decomposition.
  bool stays_alone(const std::string& bytes, size_t begin, size_t end) const {
    if (end - begin == 1) return true;
    const Character c = character_at(bytes.data() + begin, bytes.data() + end);
    if (c.bytes != end - begin || c.code == kNoCharacter) return false;
    const bool syllable = c.code >= 0xAC00 && c.code <= 0xD7A3;  // of Hangul: decomposed by rule
    return utf8proc_get_property(static_cast<utf8proc_int32_t>(c.code))->decomp_seqindex == UINT16_MAX && !syllable;
  }

  void rewrite(const TrackedText& text, size_t begin, size_t end, TrackedText& out) const {
    if (stays_alone(text.text(), begin, end)) return out.keep(text, begin, end);
    utf8proc_uint8_t* made = nullptr;
    const auto bytes =
        utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(text.text().data() + begin),
                     static_cast<utf8proc_ssize_t>(end - begin), &made, static_cast<utf8proc_option_t>(options_));
    if (bytes < 0) return out.keep(text, begin, end);
    const std::unique_ptr<utf8proc_uint8_t, void (*)(void*)> owned(made, std::free);
    const std::string_view view(reinterpret_cast<const char*>(made), static_cast<size_t>(bytes));
    if (view == std::string_view(text.text()).substr(begin, end - begin)) return out.keep(text, begin, end);
    out.replace(text, begin, end, view);
  }

  int options_;
};

/// Lower cases younger than utf8proc's tables: code points `first` to `last`, every second one with `step` 2, and how
/// far their lower case lies behind.
struct NewerCase {
  uint32_t first, last, step;
  int32_t distance;
};
constexpr NewerCase kNewerCases[] = {
    {0x1C89, 0x1C89, 1, 1}, {0xA7CB, 0xA7CB, 1, 0x264 - 0xA7CB}, {0xA7CC, 0xA7CE, 2, 1},    {0xA7D2, 0xA7D4, 2, 1},
    {0xA7DA, 0xA7DA, 1, 1}, {0xA7DC, 0xA7DC, 1, 0x19B - 0xA7DC}, {0x10D50, 0x10D65, 1, 32}, {0x16EA0, 0x16EB8, 1, 27}};

uint32_t lower_of(uint32_t code) {
  if (code == kNoCharacter) return code;
  if (code < 0x80) return code >= 'A' && code <= 'Z' ? code + 32 : code;
  for (const NewerCase& one : kNewerCases) {
    if (code >= one.first && code <= one.last && (code - one.first) % one.step == 0) {
      return static_cast<uint32_t>(static_cast<int32_t>(code) + one.distance);
    }
  }
  return static_cast<uint32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(code)));
}

class LowerCase final : public Normalizer {
 public:
  void apply(const TrackedText& text, Edges, TrackedText& out) const override {
    each_character(text, [&](uint32_t code, size_t begin, size_t end) {
      if (code == 0x130) return out.replace(text, begin, end, "i\xCC\x87");  // the one that becomes two characters
      const uint32_t lower = lower_of(code);
      if (lower == code) return out.keep(text, begin, end);
      std::string bytes;
      append_utf8(bytes, lower);
      out.replace(text, begin, end, bytes);
    });
  }
};

class WithoutMarks final : public Normalizer {
 public:
  void apply(const TrackedText& text, Edges, TrackedText& out) const override {
    each_character(text, [&](uint32_t code, size_t begin, size_t end) {
      if (!(older_class(code) & kIsMark)) out.keep(text, begin, end);
    });
  }
};

}  // namespace

NormalizerPointer valid_text() { return std::make_unique<ValidText>(); }
NormalizerPointer composed_form() { return std::make_unique<NormalForm>(UTF8PROC_COMPOSE); }
NormalizerPointer decomposed_form() { return std::make_unique<NormalForm>(UTF8PROC_DECOMPOSE); }
NormalizerPointer compatible_composed() { return std::make_unique<NormalForm>(UTF8PROC_COMPOSE | UTF8PROC_COMPAT); }
NormalizerPointer compatible_decomposed() { return std::make_unique<NormalForm>(UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT); }
NormalizerPointer lower_case() { return std::make_unique<LowerCase>(); }
NormalizerPointer without_marks() { return std::make_unique<WithoutMarks>(); }

}  // namespace lathe::tokenize
