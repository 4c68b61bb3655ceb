#include "lathe/tokenize/each_character.h"
#include "lathe/tokenize/normalizer.h"
#include "lathe/tokenize/older_classes.h"

namespace lathe::tokenize {
namespace {

class Clean final : public Normalizer {
 public:
  void apply(const TrackedText& text, Edges, TrackedText& out) const override {
    each_character(text, [&](uint32_t code, size_t begin, size_t end) {
      const bool space = class_of(code) & kSpace;
      if (space && (code == '\t' || code == '\n' || code == '\r' || !(older_class(code) & kIsControl))) {
        code == ' ' ? out.keep(text, begin, end) : out.replace(text, begin, end, " ");
      } else if (!(older_class(code) & kIsControl)) {
        out.keep(text, begin, end);
      }
    });
  }
};

bool is_chinese(uint32_t code) {
  return (code >= 0x3400 && code <= 0x4DBF) || (code >= 0x4E00 && code <= 0x9FFF) ||
         (code >= 0xF900 && code <= 0xFAFF) || (code >= 0x20000 && code <= 0x2A6DF) ||
         (code >= 0x2A700 && code <= 0x2B81F) || (code >= 0x2B920 && code <= 0x2CEAF) ||
         (code >= 0x2F800 && code <= 0x2FA1F);
}

class ChineseApart final : public Normalizer {
 public:
  void apply(const TrackedText& text, Edges, TrackedText& out) const override {
    each_character(text, [&](uint32_t code, size_t begin, size_t end) {
      if (!is_chinese(code)) return out.keep(text, begin, end);
      out.replace(text, begin, begin, " ");
      out.keep(text, begin, end);
      out.replace(text, end, end, " ");
    });
  }
};

class WithoutNonspacingMarks final : public Normalizer {
 public:
  void apply(const TrackedText& text, Edges, TrackedText& out) const override {
    each_character(text, [&](uint32_t code, size_t begin, size_t end) {
      if (!(older_class(code) & kIsNonspacingMark)) out.keep(text, begin, end);
    });
  }
};

/// All of it at once where text is ASCII, else step by step.
class BertCleaner final : public Normalizer {
 public:
  explicit BertCleaner(BertCleaning cleaning) : cleaning_(cleaning) {
    std::vector<NormalizerPointer> steps;
    if (cleaning.clean) steps.push_back(std::make_unique<Clean>());
    if (cleaning.chinese_apart) steps.push_back(std::make_unique<ChineseApart>());
    if (cleaning.without_accents) {
      steps.push_back(decomposed_form());
      steps.push_back(std::make_unique<WithoutNonspacingMarks>());
    }
    if (cleaning.lower) steps.push_back(lower_case());
    steps_ = normalizer_sequence(std::move(steps));
  }

  void apply(const TrackedText& text, Edges edges, TrackedText& out) const override {
    if (!is_ascii(text.text())) return steps_->apply(text, edges, out);
    for (size_t at = 0; at < text.text().size(); ++at) apply_ascii(text, at, out);
  }

 private:
  void apply_ascii(const TrackedText& text, size_t at, TrackedText& out) const {
    const char byte = text.text()[at];
    if (cleaning_.lower && byte >= 'A' && byte <= 'Z') {
      const char lower = static_cast<char>(byte + 32);
      return out.replace(text, at, at + 1, {&lower, 1});
    }
    const bool control = cleaning_.clean && (byte < ' ' || byte == 0x7F);
    if (!control) return out.keep(text, at, at + 1);
    if (byte == '\t' || byte == '\n' || byte == '\r') out.replace(text, at, at + 1, " ");
  }

  BertCleaning cleaning_;
  NormalizerPointer steps_;
};

}  // namespace

NormalizerPointer bert_cleaning(BertCleaning cleaning) { return std::make_unique<BertCleaner>(cleaning); }

}  // namespace lathe::tokenize
